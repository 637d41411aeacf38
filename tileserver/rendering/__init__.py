"""Arrays to images to bytes, and back."""
