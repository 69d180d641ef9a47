"""Samplers in NumPy: noise schedules, the steps of each sampler, and their common names."""
