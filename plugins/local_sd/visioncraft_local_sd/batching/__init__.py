"""Step batching: one thread computes for all who ask, and requests for one model share each denoiser call.

A picture is a coroutine (`engine.Work`) in plain Python: whatever it does between two yields it does alone; what it
yields is one `denoising.denoiser.DenoiserCall`, which the engine makes together with those of others and answers with
the prediction. `LoadedModel.draw` in `loaded_model.py` is that coroutine; image to image, inpainting or a second pass
at a higher resolution are further code in it, or a `denoising.run.Start`.

    engine.py        the thread, whose turn it is, who shares a call
    limits.py        how many rows a call may have
    threads.py       how many processor threads compute
    stepwise.py      somebody else's loop, a step at a time
    backpressure.py  how far Python is ahead of a GPU
"""
