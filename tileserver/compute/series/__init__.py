"""Series of numbers in time, many pixels at once: fitted, smoothed and cut into segments."""
