"""Models that learn from tables: training data, classifiers and clusterers, as arrays alone."""
