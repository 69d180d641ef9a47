"""Benchmarks: every figure beside its peer from the same run. `make bench` writes docs/benchmarks.md."""
