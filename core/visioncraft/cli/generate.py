"""`visioncraft generate`: one picture, without a server, through the same job as every other picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visioncraft.cli import edits
from visioncraft.cli.output import print_warnings
from visioncraft.cli.state import State

if TYPE_CHECKING:
    from visioncraft.runtime import Runtime
    from visioncraft.settings import Settings
    from visioncraft.types import GenerationRequest, ImageRecord

_OPTIONS = {
    "num_inference_steps": "--steps",
    "prompt": "PROMPT",
    "controlnet.name": "--controlnet",
    "controlnet.image": "--control-image",
    "controlnet.scale": "--control-scale",
    "hires.scale": "--hires",
}


def generate(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The PNG file, or a folder for it; else this folder.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model; see `visioncraft models`.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What to keep out of the picture.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="How closely to follow the prompt.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same picture; -1 is a random one.")] = None,
    sampler: Annotated[str | None, typer.Option(help="As euler_a or dpm++_2m_karras.")] = None,
    init_image: Annotated[Path | None, typer.Option(help="A picture to start from.")] = None,
    strength: Annotated[float | None, typer.Option(help="How much of it is drawn anew, past 0 to 1.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Where it is drawn anew: white is, black stays.")] = None,
    lora: Annotated[list[str] | None, typer.Option(help="NAME or NAME:WEIGHT; may be given several times.")] = None,
    controlnet: Annotated[str | None, typer.Option(help="A ControlNet by its name.")] = None,
    control_image: Annotated[Path | None, typer.Option(help="What the ControlNet follows.")] = None,
    control_scale: Annotated[float | None, typer.Option(help="How closely.")] = None,
    clip_skip: Annotated[int | None, typer.Option(help="Layer of the text encoder, from the last, which is 1.")] = None,
    hires: Annotated[float | None, typer.Option(help="Draw a second pass so many times as large.")] = None,
    upscaler: Annotated[str | None, typer.Option(help="Enlarge the finished picture: lanczos, or a model.")] = None,
    upscale: Annotated[float | None, typer.Option(help="By how much.")] = None,
) -> None:
    """Draw a picture, keep it in the gallery and write it to a file."""
    _generate(ctx.obj, dict(ctx.params))


def _generate(state: State, options: dict[str, Any]) -> None:
    import asyncio

    settings = state.settings()
    target = _writable(options.pop("output"))
    prompt, model = options.pop("prompt"), options.pop("model")
    try:
        record, png = asyncio.run(_draw(settings, prompt, model, edits.fields(options)))
    except KeyboardInterrupt:
        typer.echo("Cancelled; nothing was kept", err=True)
        raise typer.Exit(130) from None
    file = _write(target, record.filename, png)
    facts = f"{record.width}x{record.height}, seed {record.seed}, {record.generation_time:.1f} s"
    typer.echo(f"{file}: drawn by {record.model}, {facts}")
    print_warnings(record.warnings)


async def _draw(
    settings: Settings, prompt: str, model: str | None, fields: dict[str, Any]
) -> tuple[ImageRecord, bytes]:
    from visioncraft.drawing import drawn
    from visioncraft.runtime import Runtime

    async with Runtime(settings) as runtime:
        return await drawn(runtime, _request(runtime, prompt, model, fields), bar=True)


def _request(runtime: Runtime, prompt: str, model: str | None, fields: dict[str, Any]) -> GenerationRequest:
    """Validate, naming the options instead of the API's fields."""
    from visioncraft.errors import InvalidRequest
    from visioncraft.requests import build_request

    chosen = runtime.registry.model(model)
    try:
        return build_request(chosen, prompt, runtime.registry.available, **fields)
    except InvalidRequest as error:
        field, issue = str(error.details["field"]), str(error.details["issue"])
        field = "lora" if field.startswith("loras") else field
        option = _OPTIONS.get(field, "--" + field.replace("_", "-"))
        raise InvalidRequest(f"Invalid {option}", field=field, issue=issue) from error


def _writable(output: Path | None) -> Path:
    """The file or folder to write to, tried now: a picture may take minutes. Raises `StorageError`."""
    target = Path.cwd() if output is None else output
    if target.is_dir():
        _try(target / f".visioncraft-{id(target):x}", target)
    elif not target.parent.is_dir():
        raise _unwritable(target, f"the folder {target.parent} does not exist")
    else:
        _try(target, target)
    return target


def _try(file: Path, named: Path) -> None:
    existed = file.exists()
    try:
        file.open("ab").close()
        if not existed:
            file.unlink()
    except OSError as error:
        raise _unwritable(named, error.strerror) from error


def _write(target: Path, filename: str, png: bytes) -> Path:
    file = target / filename if target.is_dir() else target
    try:
        file.write_bytes(png)
    except OSError as error:
        raise _unwritable(file, f"{error.strerror}, but the gallery has it as {filename}") from error
    return file


def _unwritable(path: Path, reason: str | None) -> Exception:
    from visioncraft.errors import StorageError

    return StorageError(f"{path} cannot be written: {reason}; choose another file with -o")
