"""`visioncraft generate`: pictures through the server that runs here, else without one, as the same jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visioncraft.cli import generate_options, targets
from visioncraft.cli.output import print_warnings
from visioncraft.cli.state import State

if TYPE_CHECKING:
    from visioncraft.runtime.one_shot import Drawn
    from visioncraft.settings import Settings

_OPTIONS = {
    "num_inference_steps": "--steps",
    "prompt": "PROMPT",
    "controlnet.name": "--controlnet",
    "controlnet.image": "--control-image",
    "controlnet.scale": "--control-scale",
    "hires.scale": "--hires",
}

Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="A .png, .jpg or .webp file, or a folder; else this folder.")
]
Declared = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE, a parameter that the model declares; may be given several times."),
]
Local = Annotated[
    bool, typer.Option("--local", help="Draw in this process, also where a server runs that has the model loaded.")
]
ServerUrl = Annotated[
    str | None, typer.Option(envvar="VISIONCRAFT_URL", help="A server's URL; else the one that has this data folder.")
]


def generate(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    output: Output = None,
    model: Annotated[str | None, typer.Option(help="The model; see `visioncraft models`.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What to keep out of the picture.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="How closely to follow the prompt.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same picture; -1 is a random one.")] = None,
    sampler: Annotated[str | None, typer.Option(help="As euler_a or dpm++_2m_karras.")] = None,
    init_image: Annotated[Path | None, typer.Option(help="A picture to start from.")] = None,
    strength: Annotated[float | None, typer.Option(help="How much of it is drawn anew; 0 only enlarges it.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Where it is drawn anew: white is, black stays.")] = None,
    lora: Annotated[list[str] | None, typer.Option(help="NAME or NAME:WEIGHT; may be given several times.")] = None,
    controlnet: Annotated[str | None, typer.Option(help="A ControlNet by its name.")] = None,
    control_image: Annotated[Path | None, typer.Option(help="What the ControlNet follows.")] = None,
    control_scale: Annotated[float | None, typer.Option(help="How closely.")] = None,
    clip_skip: Annotated[int | None, typer.Option(help="Layer of the text encoder, from the last, which is 1.")] = None,
    hires: Annotated[float | None, typer.Option(help="Draw a second pass so many times as large.")] = None,
    upscaler: Annotated[str | None, typer.Option(help="Enlarge the finished picture: lanczos, or a model.")] = None,
    upscale: Annotated[float | None, typer.Option(help="By how much.")] = None,
    num_images: Annotated[int | None, typer.Option(help="How many, with seeds that follow each other.")] = None,
    leonardo_model: Annotated[str | None, typer.Option(help="Which of Leonardo.ai's models; see docs.")] = None,
    aspect_ratio: Annotated[str | None, typer.Option(help="For Leonardo.ai, as 16:9.")] = None,
    preset_style: Annotated[str | None, typer.Option(help="For Leonardo.ai, as CINEMATIC.")] = None,
    quality: Annotated[str | None, typer.Option(help="For Leonardo.ai.")] = None,
    parameter: Declared = None,
    local: Local = False,
    server: ServerUrl = None,
) -> None:
    """Draw a picture, keep it in the gallery and write it to a file.

    Where a server runs with this data folder, it draws: it has the model in memory already.
    """
    _generate(ctx.obj, dict(ctx.params))


def _generate(state: State, options: dict[str, Any]) -> None:
    target = targets.writable(options.pop("output"))
    asked = {"prompt": options["prompt"], "model": options["model"], **generate_options.fields(options)}
    url = None if options["local"] else options["server"]
    try:
        drawn = _drawn(state.settings(), asked, url, options["local"])
    except KeyboardInterrupt:
        typer.echo("Cancelled; nothing was kept", err=True)
        raise typer.Exit(130) from None
    for number, picture in enumerate(drawn, 1):
        record = picture.record
        file = targets.write(target, picture, number if len(drawn) > 1 else None)
        facts = f"{record.width}x{record.height}, seed {record.seed}, {record.generation_time:.1f} s"
        typer.echo(f"{file}: drawn by {record.model}, {facts}")
        print_warnings(record.warnings)


def _drawn(settings: Settings, asked: dict[str, Any], url: str | None, local: bool) -> list[Drawn]:
    """The pictures, from a server where there is one; names the options instead of the API's fields."""
    from visioncraft.cli.progress import watched
    from visioncraft.errors import InvalidRequest
    from visioncraft.runtime.client import Client
    from visioncraft.runtime.one_shot import drawn_here, drawn_there

    server = None if local else Client(settings, url) if url else Client.of_running(settings)
    try:
        if server is None:
            return drawn_here(settings, asked, watched)
        typer.echo(f"The server at {server.url} draws (--local: this process)", err=True)
        return drawn_there(server, asked, watched)
    except InvalidRequest as error:
        field, issue = str(error.details["field"]), str(error.details["issue"])
        field = "lora" if field.startswith("loras") else field
        option = _OPTIONS.get(field, "--" + field.replace("_", "-"))
        raise InvalidRequest(f"Invalid {option}", field=field, issue=issue) from error
