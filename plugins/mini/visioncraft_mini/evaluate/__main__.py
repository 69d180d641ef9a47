"""``python -m visioncraft_mini.evaluate``: a table of figures and contact sheets for a folder of weights."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from visioncraft_mini.plugin import WEIGHTS


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m visioncraft_mini.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="node_modules folder with the three npm packages")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the pipeline to measure (default: the shipped)")
    parser.add_argument("--sheets", type=Path, default=Path("sheets"), help="folder for contact sheets (sheets)")
    parser.add_argument("--guidance", type=float, default=7.5, help="the API's default unless said otherwise (7.5)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="default: float32")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="quick: each N-th phrase only, no codec (1)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a Markdown table, save the sheets."""
    options = parse(arguments)
    # Imported here, so that --help does not wait for torch.
    import torch
    from diffusers import StableDiffusionPipeline

    from visioncraft_mini.evaluate import measures, report

    pipe = StableDiffusionPipeline.from_pretrained(options.weights, dtype=getattr(torch, options.precision))
    pipe.to("cuda" if torch.cuda.is_available() else "cpu")
    pipe.set_progress_bar_config(disable=True)
    options.sheets.mkdir(parents=True, exist_ok=True)
    print("| measured | result |\n| --- | --- |")
    report.concepts(pipe, options.data, options.sheets, options.guidance, options.every)
    share, drawn = measures.colours(pipe, options.guidance)
    report.row("Right colour", share)
    report.save(options.sheets / "colours.png", drawn, [prompt for prompt, _ in measures.COLOURS])
    if options.every == 1:
        codec = pipe.vae.to("cpu", torch.float32)
        report.row("Codec on held-out pictures", f"{measures.codec_psnr(codec, options.data):.1f} dB")


if __name__ == "__main__":
    main()
