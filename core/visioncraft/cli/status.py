"""`visioncraft status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visioncraft.cli.output import print_json, print_table
from visioncraft.cli.state import State

if TYPE_CHECKING:
    from visioncraft.runtime.runtime import Runtime
    from visioncraft.settings import Settings


def status(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For programs: as GET /status.")] = False
) -> None:
    """Show the device, the models that can draw, and the backends."""
    import asyncio

    state: State = ctx.obj
    from visioncraft.runtime.runtime import Runtime

    settings = state.settings()
    facts = asyncio.run(_ask(Runtime(settings)))  # made before the loop runs, which would hold Ctrl-C back
    if as_json:
        print_json(facts)
    else:
        print_table(("Fact", "Value"), [*_places(settings), *_rows(facts)])


def _places(settings: Settings) -> Iterator[tuple[str, str]]:
    """What this folder's commands work with: started elsewhere they may find other settings, and other pictures."""
    from visioncraft.runtime.running import server_of

    yield "Settings file", str(settings.file or "none, the defaults count")
    yield "Data folder", str(settings.data_path)
    yield "Server", server_of(settings.data_path) or "none runs with this data folder"


async def _ask(runtime: Runtime) -> dict[str, Any]:
    from visioncraft.runtime.status import system_status

    async with runtime:
        return await system_status(runtime)


def _rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    system = facts["system_info"]
    yield "Device", f"{facts['device_name']} ({facts['device']})"
    if facts["vram_total"]:
        yield "Device memory", f"{facts['vram_free']} GB free of {facts['vram_total']} GB"
    yield "Models that can draw", _names(facts["available_models"])
    yield "Cloud models", _names(facts["available_generators"])
    yield "Storage", system["storage"]
    yield "Python", system["python_version"]
    yield "CUDA", system["cuda_version"] or "none"
    for name, said in system["backends"].items():
        yield name, ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in said.items())


def _names(models: dict[str, Any]) -> str:
    return ", ".join(models) or "none"
