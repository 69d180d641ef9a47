"""Stable Diffusion on this machine, through ONNX Runtime and without torch."""
