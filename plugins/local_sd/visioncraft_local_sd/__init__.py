"""Stable Diffusion on this machine, through diffusers. Nothing here imports torch before a model is needed."""
