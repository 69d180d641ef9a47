"""`compiling.py <model> <folder>`: compiles a model's denoiser until somebody kills it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from visioncraft_local_sd.compiling.queue import Compiler, Job

config = json.loads((Path(sys.argv[1]) / "unet" / "config.json").read_text("utf-8"))
compiler = Compiler(Path(sys.argv[2]))
compiler.submit(Job(config, "float32", {}), print)
compiler.wait()
