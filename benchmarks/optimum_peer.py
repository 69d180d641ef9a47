"""Optimum's own pipeline, in the environment that `visioncraft models export` makes: `python optimum_peer.py FOLDER`.

Answers as `benchmarks.onnx` does: a picture for every line, the seconds it took and the memory held, in JSON.
"""

import json
import resource
import sys
import time

import onnxruntime
import torch
from optimum.onnxruntime import ORTStableDiffusionPipeline


def main(folder: str, prompt: str, steps: int, side: int) -> None:
    """Serve until the input ends."""
    options = onnxruntime.SessionOptions()
    pipe = ORTStableDiffusionPipeline.from_pretrained(folder, session_options=options, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    for line in sys.stdin:
        began = time.perf_counter()
        generator = torch.Generator("cpu").manual_seed(int(line))
        pipe(prompt, num_inference_steps=steps, width=side, height=side, generator=generator)
        seconds, resident = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(json.dumps({"seconds": seconds, "resident": resident}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
