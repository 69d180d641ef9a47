"""Exporting a model of torch to ONNX with Optimum, in an environment of its own.

Optimum's current release cannot share an environment with current diffusers, and the server shall not need torch.
"""
