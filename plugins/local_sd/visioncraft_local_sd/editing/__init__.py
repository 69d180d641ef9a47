"""What editors ask for beside a prompt, as further code around the engine's loop.

pictures.py   pictures to start from, masks, and denoisers that read both
prompts.py    weighted words, long prompts, textual inversions
loras.py      LoRAs: loaded for who asks, gone when nobody does
controls.py   ControlNets
upscaling.py  larger pictures, from pixels to pixels
"""
