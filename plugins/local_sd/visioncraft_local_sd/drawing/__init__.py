"""How the models of a family draw, a module a family; what is true of one before it is loaded is in `families/`.

protocol.py          what the batching loop asks of a family
stable_diffusion.py  Stable Diffusion 1.x, 2.x and XL
z_image.py           Z-Image
latents.py           how latents lie in diffusers' own pipelines, for previews
table.py             which of them draws a model
"""
