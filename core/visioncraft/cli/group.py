"""Commands that plugins bring, found when they are called: `--help` and the core's own commands load no plugin."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from visioncraft.cli.state import State
from visioncraft.logs import configure_logging

if TYPE_CHECKING:
    from visioncraft.plugins.manager import PluginManager

_GALLERY = "gallery"


class PluginCommand(TyperCommand):
    """Stands in for a plugin's command and hands everything behind its name to it, `--help` too.

    typer carries its own copy of click, so a command of either kind is called through `main`, never mixed in.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave every argument to the plugin's command."""
        ctx.args = list(args)
        return []

    def invoke(self, ctx: Any) -> Any:
        """Find the plugin's command and run it."""
        manager = _manager(ctx.obj)
        command = commands_of(manager).get(str(self.name))
        if command is None:
            raise _missing(str(self.name), manager)
        return command.main(args=ctx.args, prog_name=ctx.command_path)


class PluginGroup(TyperGroup):
    """The root: the core's commands, `gallery`, and whatever further name a plugin offers."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The core's commands and `gallery`."""
        return [*super().list_commands(ctx), _GALLERY]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; a name the core does not know is looked for among the plugins' commands."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        if cmd_name == _GALLERY:
            return PluginCommand(_GALLERY, help="Pictures on disk: list, import, check, … (from a gallery plugin).")
        if ctx.resilient_parsing or cmd_name.startswith("-"):
            return None
        self._add_plugin_commands(ctx)
        return super().get_command(ctx, cmd_name)

    def _add_plugin_commands(self, ctx: Any) -> None:
        # The root's callback has not run yet: click looks a command up before it.
        verbose = bool(ctx.params.get("verbose"))
        configure_logging(verbose)
        state = State(ctx.params.get("settings"), verbose, bool(ctx.params.get("safe_mode")))
        for name in commands_of(_manager(state)):
            self.commands.setdefault(name, PluginCommand(name))


@cache
def _manager(state: State) -> PluginManager:
    """The plugins, found once for one call of the command line: looking at a slow one takes its time."""
    from visioncraft.runtime.discovery import discovered

    return discovered(state.settings())


def commands_of(manager: PluginManager) -> dict[str, Any]:
    """The commands that this manager's plugins bring, by name. The core's own names are the core's."""
    from visioncraft.cli import app
    from visioncraft.cli.plugins.entry_points import BUILT_IN
    from visioncraft.plugins.claims import Claims, every

    core = manager.plugins[BUILT_IN]
    offered = [(core, own) for own in (*app.registered_commands, *app.registered_groups)]
    offered += every(manager.collect("visioncraft_commands"))
    settled = Claims[Any]("command", lambda command: str(command.name)).settle(offered)
    return {name: command for name, (info, command) in settled.items() if info is not core}


def _missing(name: str, manager: PluginManager) -> Exception:
    from visioncraft.errors import PluginError

    plugin = next((info for info in manager.plugins.values() if _GALLERY in info.name), None)
    if name == _GALLERY and plugin is not None:
        return PluginError(f"`visioncraft {name}` needs {plugin.origin}, which {plugin.standing}")
    return PluginError(f"`visioncraft {name}` comes from a gallery plugin: pip install visioncraft-gallery-fs")
