"""Commands that plugins bring, found when they are called: `--help` and the core's own commands load no plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from visioncraft.cli.state import State
from visioncraft.logs import configure_logging

if TYPE_CHECKING:
    from visioncraft.plugins import PluginManager

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
        command = plugin_commands(ctx.obj).get(str(self.name))
        if command is None:
            raise _missing(str(self.name), ctx.obj)
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
        for name in plugin_commands(State(ctx.params.get("settings"), verbose, bool(ctx.params.get("safe_mode")))):
            self.commands.setdefault(name, PluginCommand(name))


def plugin_commands(state: State) -> dict[str, Any]:
    """All plugins' commands by name, of two with one name the first."""
    from visioncraft.runtime import discovered

    return commands_of(discovered(state.settings()))


def commands_of(manager: PluginManager) -> dict[str, Any]:
    """The commands that this manager's plugins bring; a name offered twice is an error in the second one's entry."""
    from visioncraft.plugins import PluginInfo, claim

    owners: dict[str, PluginInfo] = {}
    found: dict[str, Any] = {}
    for info, commands in manager.collect("visioncraft_commands"):
        for command in commands:
            if claim(owners, info, "command", command.name, command.name):
                found[command.name] = command
    return found


def _missing(name: str, state: State) -> Exception:
    from visioncraft.errors import PluginError
    from visioncraft.runtime import discovered

    manager = discovered(state.settings())
    plugin = manager.plugins.get("gallery_fs") if name == _GALLERY else None
    if plugin is not None:
        return PluginError(f"`visioncraft {name}` needs {plugin.origin}, which is {plugin.status}: {plugin.error}")
    return PluginError(f"`visioncraft {name}` comes from a gallery plugin: pip install visioncraft-gallery-fs")
