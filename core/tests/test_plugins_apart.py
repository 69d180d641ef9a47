"""Plugins that would take their process along: they are tried in another one first, and cost only themselves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from visioncraft.testing import House, served
from visioncraft.testing.commands import PIPE, STDOUT, Process

FINE = """
import sys
from visioncraft import Generator, ModelInfo, hookimpl

class Engine(Generator):
    name = "NAME"
    def models(self):
        return [ModelInfo(id="NAME", name="NAME", engine="NAME")]
    def run(self, request, progress):
        raise ValueError("it was asked to draw")

@hookimpl
def visioncraft_generators():
    return [Engine()]
"""
HOOK = "import os, signal\nfrom visioncraft import hookimpl\n@hookimpl\ndef visioncraft_{hook}():\n    {body}\n"
HOSTILE = {
    "loops": ("while True:\n    pass", "its import did not end in time"),
    "swallows": (
        "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException:\n        pass",
        "its import did not end in time",
    ),
    "segfaults": ("import ctypes\nctypes.string_at(0)", "was ended by SIGSEGV at its import"),
    "leaves": ("import os\nos._exit(0)", "ended with exit code 0 at its import"),
    "aborts": (
        "import os, sys\nprint('no such device', file=sys.stderr, flush=True)\nos.abort()",
        "was ended by SIGABRT at its import (no such device)",
    ),
    "leaves_late": (HOOK.format(hook="routers", body="os._exit(3)"), "exit code 3 at its visioncraft_routers"),
    "dies_late": (HOOK.format(hook="models", body="os.kill(os.getpid(), signal.SIGSEGV)"), "SIGSEGV"),
    "exits": ("import sys\nsys.exit(3)", "import raised SystemExit: 3"),
}
"""What a plugin does, and what is said of it."""


def house_of(folder: Path, **plugins: str) -> House:
    house = House(folder, {"plugins": {"enabled": list(plugins), "import_timeout_s": 10.0}})
    for name, source in plugins.items():
        house.install(f"vc-{name}", name, source.replace("NAME", name))
    return house


def listed(house: House) -> dict[str, dict[str, Any]]:
    done = house.command("plugins", "--json")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done
    assert (
        "loops" not in house.tables["plugins"]["enabled"]
        or "waiting for plugin 'loops' (vc-loops 1.2.3)" in done.stderr
    )
    return {each["name"]: each for each in json.loads(done.stdout)}


def test_plugins_that_hang_or_crash_are_each_named_with_the_way_out_and_the_others_serve(tmp_path: Path) -> None:
    house = house_of(tmp_path, fine=FINE, **{name: source for name, (source, _) in HOSTILE.items()})
    told = listed(house)
    assert (told["fine"]["status"], told["fine"]["error"]) == ("active", None)
    for name, (_, reason) in HOSTILE.items():
        assert told[name]["status"] == "failed" and reason in told[name]["error"], told[name]
        assert name == "exits" or f"`visioncraft plugins disable {name}` or `--safe-mode`" in told[name]["error"]


def test_a_server_starts_beside_them_and_is_looked_at_again_only_where_something_changed(tmp_path: Path) -> None:
    looked = tmp_path / "looked"
    marked = f"open({str(looked)!r}, 'a').write('x')\n"
    in_a_worker = "import sys, time\nwhile 'worker' in sys.argv[0]:\n    time.sleep(9)\n"
    house = house_of(tmp_path, fine=marked + FINE, loops=HOSTILE["loops"][0], stuck=in_a_worker + FINE)
    (tmp_path / "data").mkdir()
    with served(house) as server:
        assert server.plugin("fine")["status"] == "active" and server.plugin("loops")["status"] == "failed"
        assert server.draw("anything", model="fine").status_code == 500
        refused = server.draw("anything", model="stuck")
        assert refused.status_code == 500 and "plugin 'stuck' cannot be loaded: its import did not end" in refused.text
    house.tables["plugins"] = {"enabled": ["fine"]}
    looked.unlink()
    listed(house)
    assert looked.read_text() == "x", "it was looked at again"
    changed = house.site / "vc_fine_module.py"
    changed.write_text(changed.read_text() + "import os\nos._exit(4)\n")
    assert "exit code 4 at its import" in listed(house)["fine"]["error"]


@pytest.mark.parametrize("trusted", [False, True])
def test_one_that_is_trusted_is_imported_without_a_trial(tmp_path: Path, trusted: bool) -> None:
    note = tmp_path / "imported"
    source = f"import os\nwith open({str(note)!r}, 'a') as note:\n    note.write(f'{{os.getpid()}}\\n')\n{FINE}"
    house = house_of(tmp_path, fine=source)
    house.tables["plugins"] = {**house.tables["plugins"], "trusted": ["fine"] if trusted else []}
    assert listed(house)["fine"]["status"] == "active"
    assert len(note.read_text().splitlines()) == (1 if trusted else 2)


def test_one_that_crashes_only_in_earnest_is_looked_at_the_next_time(tmp_path: Path) -> None:
    late = f"import os\nif os.path.exists({str(tmp_path / 'armed')!r}):\n    os._exit(9)\n"
    house = house_of(tmp_path, late=late + FINE)
    (tmp_path / "data").mkdir()
    assert listed(house)["late"]["status"] == "active"
    (tmp_path / "armed").touch()
    assert house.command("plugins").returncode == 9
    assert "exit code 9 at its import" in listed(house)["late"]["error"]


def test_one_that_hangs_only_in_earnest_is_given_up_too(tmp_path: Path) -> None:
    second = f"""
import os, time
if os.path.exists({str(tmp_path / "been")!r}):
    time.sleep(600)
open({str(tmp_path / "been")!r}, "w").close()
"""
    house = house_of(tmp_path, second=second + FINE)
    told = listed(house)["second"]
    assert told["status"] == "failed" and "its import did not end in time" in told["error"]


WAITS = """
import sys, time
from visioncraft import hookimpl
def wait():
    while "probing" not in sys.argv[0]:
        open("ready", "a").write("here")
        try:
            time.sleep(600)
        except BaseException:
            pass
"""
AT_IMPORT = WAITS + "wait()\n"
IN_A_HOOK = WAITS + "@hookimpl\ndef visioncraft_generators():\n    wait()\n    return []\n"
IN_STATUS = WAITS + FINE.replace("    def run", "    def status(self):\n        return wait()\n    def run")


@contextmanager
def begun(house: House, *words: str) -> Iterator[Process]:
    """A command that has come to a plugin's code, which waits there for good whatever is raised in it."""
    os.mkfifo(house.folder / "ready")
    with house.begin(*words, stdout=PIPE, stderr=STDOUT) as process:
        try:
            with (house.folder / "ready").open() as ready:
                assert ready.read(4) == "here"
                yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("words", "number", "source"),
    [
        ("serve --port 0", signal.SIGTERM, AT_IMPORT),
        ("serve --port 0", signal.SIGINT, AT_IMPORT),
        ("serve --port 0", signal.SIGTERM, IN_A_HOOK),
        ("status", signal.SIGINT, IN_A_HOOK),
        ("generate a --local", signal.SIGINT, AT_IMPORT),
        ("plugins", signal.SIGINT, AT_IMPORT),
    ],
)
def test_one_signal_ends_a_command_whatever_a_plugin_does(
    words: str, number: signal.Signals, source: str, tmp_path: Path
) -> None:
    house = house_of(tmp_path, waits=source)
    house.tables["plugins"] = {"enabled": ["waits"], "import_timeout_s": 600.0, "hook_timeout_s": 600.0}
    with begun(house, *words.split()) as process:
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert "is ready" not in said and "Traceback" not in said, said


def test_a_status_that_hangs_keeps_no_command_from_its_end(tmp_path: Path) -> None:
    house = house_of(tmp_path, waits=IN_STATUS)
    house.tables["plugins"] = {"enabled": ["waits"], "status_timeout_s": 0.5}
    with begun(house, "status") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "Models that can draw" in said
