"""`visioncraft models add | remove | info`: weights on disk, whatever they are for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visioncraft.cli.output import print_json, print_table, say
from visioncraft.cli.progress import progress_bar
from visioncraft.cli.state import State

if TYPE_CHECKING:
    from rich.progress import Progress as Bar, TaskID

    from visioncraft.plugins.contracts import ModelKeeper, Progress
    from visioncraft.types.models import ModelInfo, StoredModel

JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
_UNITS = ("B", "kB", "MB", "GB", "TB")


def add(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A .safetensors file or a diffusers folder.")],
    name: Annotated[str | None, typer.Option(help="What to call it; else as the file is called.")] = None,
) -> None:
    """Copy a checkpoint, LoRA, ControlNet, textual inversion, VAE or upscaler among the models."""
    with _keeping(ctx) as writer, shown("copying", "models add goes on from the beginning") as progress:
        stored = writer.add(path.absolute(), name, progress)
    say(f"{stored.id}: {_what(stored)}, {size(stored.size)}, in {stored.path}")


def remove(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A model's id, or the name of a LoRA or the like.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a model's weights, or a part's, from the disk."""
    with _keeping(ctx) as writer:
        if not yes:
            typer.confirm(f"Delete {name} from the disk?", abort=True)
        stored = writer.remove(name, _listed(ctx, name))
    say(f"{stored.id} is gone: {_what(stored)}, {size(stored.size)} are free")


def info(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A model's id, or the name of a LoRA or the like.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a model or part is, where it lies, and its files with sizes and SHA-256."""
    with _keeping(ctx) as writer, shown("hashing", "nothing was changed") as progress:
        stored = writer.inspect(name, _listed(ctx, name), progress)
    if as_json:
        print_json({**asdict(stored), "size": stored.size})
        return
    say(f"{stored.id}: {_what(stored)}, {size(stored.size)}, in {stored.path}")
    rows = [(file, size(count), stored.sha256.get(file, "")) for file, count in stored.files.items()]
    print_table(("File", "Size", "SHA-256"), rows)


def print_parts(parts: list[StoredModel]) -> None:
    """What models draw with beside their own weights, as a table; nothing where there is none."""
    if parts:
        rows = [(part.id, _own_name(part), part.kind, part.base or "any", size(part.size)) for part in parts]
        print_table(("Part", "Name", "Kind", "For", "Size"), rows)
    for part in parts:
        if part.trouble:
            say(f"The {part.kind} {part.id} cannot be used: {part.trouble}")


def _own_name(part: StoredModel) -> str:
    return part.aliases[0] if part.aliases else part.id


def size(count: int) -> str:
    """Bytes for people, in powers of ten as file managers have them: `2.13 GB`."""
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.3g} {_UNITS[unit]}" if unit else f"{count} B"


class Meter:
    """A `Progress` that draws a bar."""

    cancelled = False

    def __init__(self, bar: Bar, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def step(self, step: int, total: int, preview: bytes | None = None) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=step, total=total)

    def stage(self, name: str) -> None:
        """Say what goes on."""
        self._bar.update(self._task, description=name)


@contextmanager
def shown(stage: str, after_ctrl_c: str) -> Iterator[Progress]:
    """A bar for something long, in MB; Ctrl-C ends it with a word on what is left."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    try:
        with progress_bar(MofNCompleteColumn(), TimeRemainingColumn()) as bar:
            yield Meter(bar, bar.add_task(stage, total=None))
    except KeyboardInterrupt:
        say(f"Interrupted; {after_ctrl_c}", err=True)
        raise typer.Exit(130) from None


@contextmanager
def _keeping(ctx: typer.Context) -> Iterator[ModelKeeper]:
    from visioncraft.errors import PluginError

    state: State = ctx.obj
    found = state.registry().keepers()
    if not found:
        raise PluginError("No installed plugin keeps weights; pip install visioncraft-local-sd brings one")
    yield found[0]


def _listed(ctx: typer.Context, name: str) -> ModelInfo | None:
    state: State = ctx.obj
    return state.registry().known(name)


def _what(stored: StoredModel) -> str:
    return " ".join(word for word in (stored.base, stored.detail, stored.kind) if word)
