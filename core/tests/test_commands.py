"""Commands that tests fork, in place of those that begin with an interpreter of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from visioncraft.testing import PATIENCE_S, House, commands
from visioncraft.testing.commands import PIPE, STDOUT, Forked

TELLING = """
import json, os, signal, sys, tempfile, threading
import click
from visioncraft import hookimpl

@hookimpl
def visioncraft_commands(settings):
    @click.command("tell")
    @click.argument("way")
    def tell(way):
        if way == "wait":
            print("waiting", flush=True)
            signal.pause()
        if way == "read":
            print(sys.stdin.read().upper(), end="")
            print("half a line", end="", file=sys.stderr)
        if way == "facts":
            main, streams = sys.modules["__main__"], (sys.stdin, sys.stdout, sys.stderr)
            print(json.dumps({
                "environment": dict(os.environ),
                "arguments": [sys.argv, sys.orig_argv[1:]],
                "places": [os.getcwd(), sys.path, tempfile.gettempdir()],
                "main": [main.__name__, main.__file__],
                "signals": [[number, str(signal.getsignal(number))] for number in signal.Signals],
                "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
                "descriptors": len(os.listdir("/dev/fd")),
                "threads": threading.active_count(),
                "streams": [[each.encoding, each.errors, each.line_buffering, each.fileno()] for each in streams],
            }))
        if way == "leave":
            sys.exit(7)
        if way == "bug":
            raise KeyError("a bug")
    return [tell]
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path, {"plugins": {"enabled": ["telling"], "trusted": ["telling"]}})
    made.install("vc-telling", "telling", TELLING)
    return made


@pytest.fixture(params=["forked", "started by exec"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "forked":
        monkeypatch.setattr(commands, "imported_ahead", ())
    assert bool(commands.imported_ahead) == (request.param == "forked"), "this suite's own commands are not forked"
    return str(request.param)


@pytest.mark.parametrize("what", ["read", "leave", "bug", "facts"])
def test_a_forked_command_and_one_that_was_started_by_exec_are_told_apart_by_nothing(
    house: House, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.env = {"WORD": os.fsdecode(b"gr\xfc\xdfe"), "TMPDIR": str(house.folder)}
    forked = house.command("tell", what, text="some\nwörds\n")
    assert isinstance(house.begin("tell", "leave"), Forked)
    monkeypatch.setattr(commands, "imported_ahead", ())
    executed = house.command("tell", what, text="some\nwörds\n")
    assert vars(forked) == vars(executed)
    assert executed.returncode == {"leave": 7, "bug": 1}.get(what, 0)
    assert (what in ("read", "facts")) == bool(executed.stdout)


def test_variables_and_plugins_of_the_house_reach_it_and_nothing_from_an_earlier_one(house: House) -> None:
    assert house.command("tell", "leave").returncode == 7
    (house.site / "vc_telling_module.py").write_text(TELLING.replace("sys.exit(7)", "print(os.environ.get('WORD'))"))
    house.env = {"WORD": "spoken"}
    assert house.command("tell", "leave").stdout == "spoken\n"
    house.env = {}
    assert house.command("tell", "leave").stdout == "None\n"
    house.tables["plugins"] = {"disabled": ["telling"]}
    assert "No such command" in house.command("tell", "leave").stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, -15), (signal.SIGKILL, -9)])
def test_a_signal_ends_it(house: House, way: str, number: signal.Signals, code: int) -> None:
    with house.begin("tell", "wait", stdout=PIPE, stderr=STDOUT) as process:
        assert isinstance(process, Forked) == (way == "forked")
        assert process.stdout is not None and process.stdout.readline() == "waiting\n"
        assert process.poll() is None and psutil.Process(process.pid).is_running()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == process.poll() == process.returncode == code
        process.kill()  # which reaches nobody


def test_a_module_that_would_stand_before_an_imported_one_does(house: House) -> None:
    (house.site / "httpx.py").write_text("import os\nos._exit(9)\n")
    assert house.command("jobs", "list").returncode == 9


def test_a_variable_that_the_interpreter_reads_at_its_start_counts(house: House) -> None:
    house.env = {"PYTHONVERBOSE": "1"}
    assert "import 'encodings'" in house.command("tell", "leave").stderr


PROGRAM = """
import os, sys
from pathlib import Path
from visioncraft.testing import commands
commands.imported_ahead = ("visioncraft.cli",)
command = [Path(sys.executable).with_name("visioncraft"), "--version"]
assert commands.start(command, os.environ, Path("/")).wait() == 0
print(commands._fork_server(os.getpid())._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=PIPE, stdout=PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_the_process_that_forks_ends_with_the_one_it_forks_for(
    program: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert program.stdout is not None and program.stdout.readline().startswith("visioncraft ")
    forks = psutil.Process(int(program.stdout.readline()))
    assert forks.ppid() == program.pid and forks.num_threads() == 1
    assert forks.num_fds() <= 7
    program.send_signal(number)
    program.wait(PATIENCE_S)
    assert psutil.wait_procs([forks], timeout=PATIENCE_S)[1] == []
