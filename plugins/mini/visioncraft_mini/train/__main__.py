"""``python -m visioncraft_mini.train``: from the npm packages' pictures and words to the weights in the package."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from visioncraft_mini.plugin import WEIGHTS

STAGES = ("vae", "grow", "denoiser", "export", "sheet")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m visioncraft_mini.train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="node_modules folder with the three npm packages")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints; a run goes on from them")
    parser.add_argument("--from", type=Path, dest="start", help="exported weights to start from: their codec is kept")
    parser.add_argument("--minutes", type=float, default=120, help="for all training together (default: 120)")
    parser.add_argument("--processes", type=int, default=2, help="one-thread processes (default: 2)")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="default: all, in this order")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the pipeline is written")
    parser.add_argument("--sheet", type=Path, default=Path("mini.png"), help="contact sheet (default: mini.png)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stages; the codec gets a fifth of the time, its outer level a twentieth, the denoiser the rest."""
    options = parse(arguments)
    options.run.mkdir(parents=True, exist_ok=True)
    # Imported here, so that --help does not wait for torch.
    from visioncraft_mini.train import denoiser_train, vae_grow, vae_train, warm

    share = 0.75
    if options.start:
        warm.adopt(options.start, options.data, options.run)
        options.stages, share = [stage for stage in options.stages if stage not in ("vae", "grow")], 1.0
    if "vae" in options.stages:
        vae_train.train(options.data, options.run, 0.2 * options.minutes, options.processes)
    if "grow" in options.stages:
        vae_grow.train(options.data, options.run, 0.05 * options.minutes, options.processes)
    if "denoiser" in options.stages:
        denoiser_train.train(options.data, options.run, share * options.minutes, options.processes)
    finish(options)


def finish(options: argparse.Namespace) -> None:
    """Export, and draw the contact sheet with what was exported."""
    import torch
    from diffusers import StableDiffusionPipeline

    from visioncraft_mini.train import export, sheet

    if "export" in options.stages:
        export.export(options.run, options.weights)
    if "sheet" in options.stages:
        pipe = StableDiffusionPipeline.from_pretrained(options.weights, dtype=torch.float32)
        sheet.save_nine(pipe, options.sheet)


if __name__ == "__main__":
    main()
