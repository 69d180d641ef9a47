"""The denoising loop: one thread computes for all who ask, and requests for one model share each denoiser call.

A picture is a coroutine (`engine.Work`) in plain Python: whatever it does between two yields it does alone; what it
yields is one denoiser call (`denoiser.Ask`), which the engine makes together with those of others and answers with the
prediction. `LoadedModel.draw` in `pipeline.py` is that coroutine; image to image, inpainting or a second pass at a
higher resolution are further code in it, or a `sampling.Start`.

    engine.py        the thread, whose turn it is, who shares a call
    denoiser.py      one call of the denoiser for many
    bounds.py        how many rows a call may have
    threads.py       how many processor threads compute
    pace.py          how far Python is ahead of a GPU
    sampling.py      one request's state: its sampler, noise, guidance, step
    conditioning.py  from texts to what the denoiser is told, remembered
    decoding.py      from latents to pixels
"""
