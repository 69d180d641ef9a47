"""Latents to pixels: the VAE's decoder, previews and upscalers."""
