"""The device: which one is used, how much memory it has, and what was measured on it."""
