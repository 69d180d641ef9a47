"""Denoising: one request's state from noise to latents, and the calls of the network that it asks for.

denoiser.py    one call of the denoiser for many requests
variants.py    one denoiser for each combination of LoRAs and ControlNet in use
run.py         one request's state: its sampler, noise, guidance, step
schedulers.py  samplers by their common names, and diffusers' schedulers for them
controlnet.py  ControlNets
init_image.py  images to start from, masks, and denoisers that read both
"""
