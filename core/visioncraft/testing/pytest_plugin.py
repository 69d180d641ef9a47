"""The fixtures that pytest finds by itself. Loaded in every run of this environment, so nothing heavy at the top."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from visioncraft.plugins.manager import PluginManager
    from visioncraft.testing.server import Server

_MEANT_FOR_CHILDREN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

pytest.register_assert_rewrite(*(f"visioncraft.testing.{name}" for name in ("generators", "stores", "serving")))


def pytest_addoption(parser: pytest.Parser) -> None:
    """A setting of this project's own suite, which starts commands by the hundred."""
    parser.addini("visioncraft_fork", "Fork commands from a process that has imported these modules.", "args")


def pytest_configure(config: pytest.Config) -> None:
    """Fork commands where settings say so, and have them handle signals."""
    if modules := config.getini("visioncraft_fork"):
        from visioncraft.testing import commands

        commands.imported_ahead = tuple(modules)
    _let_children_handle_signals()


def _let_children_handle_signals() -> None:
    """Let the processes that tests start have the system's own handling of the signals that tests send them.

    Under `nohup`, in the background of a script and on many CI runners signals are ignored, and a process inherits that
    (signal(7), execve): a test that sends one would wait for ever. What is handled is not inherited, so this process
    goes on doing nothing with them, by a handler.
    """
    for number in _MEANT_FOR_CHILDREN:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _do_nothing)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal as if it were ignored."""


@pytest.fixture
def visioncraft_manager(tmp_path: Path) -> Callable[..., PluginManager]:
    """`visioncraft_manager(plugin, name="mine", storage={...})`: a fresh manager with the core's own store and yours.

    Nothing that is installed is loaded. Further arguments are tables of the settings.
    """

    def build(plugin: object, name: str = "mine", **tables: Any) -> PluginManager:
        from visioncraft.gallery import plugin as builtin
        from visioncraft.plugins.manager import PluginManager
        from visioncraft.settings import Settings

        manager = PluginManager(Settings.model_validate({"data_dir": tmp_path / "data", **tables}))
        manager.register(builtin, "memory")
        manager.register(plugin, name, distribution=f"visioncraft-{name}", version="0")
        return manager

    return build


@pytest.fixture
def visioncraft_client(visioncraft_manager: Callable[..., PluginManager]) -> Iterator[Callable[..., TestClient]]:
    """`visioncraft_client(plugin)`: the API in this process, with your plugin and the core's memory store.

    Generators run in threads here, where breakpoints and monkeypatches reach them.
    """
    from fastapi.testclient import TestClient

    from visioncraft.api.app import create_app
    from visioncraft.runtime.runtime import Runtime
    from visioncraft.workers.in_process_pool import InProcessPool

    with ExitStack() as stack:

        def build(plugin: object, name: str = "mine", **tables: Any) -> TestClient:
            manager = visioncraft_manager(plugin, name, **tables)
            runtime = Runtime(manager.settings, manager, lambda registry: InProcessPool(registry.generators))
            app = create_app(manager.settings, runtime)
            return stack.enter_context(TestClient(app, base_url="http://localhost"))

        yield build


@pytest.fixture
def visioncraft_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """`visioncraft_server("plasma")`: a process on a real socket that serves these installed plugins and no other."""
    from visioncraft.testing.server import House, served

    with ExitStack() as stack:

        def build(*plugins: str, **tables: Any) -> Server:
            house = House(tmp_path, {"plugins": {"enabled": list(plugins)}, **tables})
            return stack.enter_context(served(house))

        yield build
