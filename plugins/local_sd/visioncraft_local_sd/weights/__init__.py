"""Files with weights: which there are, what they hold, and that they are safe to read."""
