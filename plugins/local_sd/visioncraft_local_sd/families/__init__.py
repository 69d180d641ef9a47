"""Families of models: a module each says what is true of one before anything of it is loaded. Imports no torch.

family.py            what a family says of itself
stable_diffusion.py  Stable Diffusion 1.x, 2.x and XL
flow.py              what transformers with flow matching have in common
z_image.py           Z-Image
flux1.py … krea2.py  families that diffusers' own pipelines draw, each in its module
table.py             all of them, and the pipelines and classes that may be loaded

How a family's models draw is in `drawing/`, a module each again.
"""
