"""What tileserver costs beside what it is measured against, in one run."""
