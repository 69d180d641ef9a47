"""One process that imports one plugin, as seen from here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import EntryPoint

from visioncraft.environment import SECRETS
from visioncraft.plugins.info import PluginInfo
from visioncraft.settings import Settings
from visioncraft.workers.launch import obituary

IMPORT, DONE = "import", "done"
"""Words that the process writes to its report, one a line; the others are the hooks that it asks."""

_START_LIMIT_S = 60.0  # until it is ready to import something
_PATIENCE_S = 5.0  # after which people are told what they wait for
_LAST_WORDS_S = 1.0  # between a process' last word and its end


class Trial:
    """Starts the process. Raises `OSError` where there can be none.

    Args:
        point, info: The plugin.
        settings: For its hooks, and for how long it may take.

    Attributes:
        report: The end of a pipe that can be read when it has said something.
        over: Whether it will say no more.
        due: When it is given up, by the monotonic clock.
    excuse_due: When people should be told what they wait for, or it is given up.
    """

    def __init__(self, point: EntryPoint, info: PluginInfo, settings: Settings) -> None:
        self.info = info
        self.over = False
        self._limit_s = settings.plugins.import_timeout_s
        self.due = self.excuse_due = time.monotonic() + _START_LIMIT_S
        self._words = ""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self.report, theirs = os.pipe()
        try:
            with tempfile.TemporaryFile() as order:
                order.write(_order(point, settings))
                order.seek(0)
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                    [sys.executable, "-P", "-m", "visioncraft.probing", str(theirs), str(os.getpid())],
                    stdin=order,
                    env=SECRETS.environment_for_trial(),
                    stdout=self._said,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
        except BaseException:
            os.close(self.report)
            self._said.close()
            raise
        finally:
            os.close(theirs)

    @property
    def passed(self) -> bool:
        """Whether it came to its end in order."""
        return self._doing == DONE

    def hear(self) -> bool:
        """Take what it has said; answers whether it may say more."""
        chunk = os.read(self.report, 4096)
        if not self._words:
            self.due = time.monotonic() + self._limit_s
            self.excuse_due = min(self.due, time.monotonic() + _PATIENCE_S)
        self._words += chunk.decode()
        self.over = not chunk
        return not self.over

    def excuse(self) -> str | None:
        """What to tell people who wait for it now; once."""
        if self.over or not self.excuse_due <= time.monotonic() < self.due:
            return None
        self.excuse_due = self.due
        limit = f"its import is given up after {self._limit_s:g} s"
        return f"waiting for {self.info.origin}: {limit}; {self.info.way_out}"

    def verdict(self) -> str | None:
        """Why the plugin must not be imported here; None where nothing speaks against it."""
        if self.passed:
            return None
        if not self.over:  # hooks that hang lose their answers here too, within a limit of their own
            return self.info.overdue if self._doing == IMPORT else None
        try:
            end = obituary(self._process.wait(_LAST_WORDS_S))
        except subprocess.TimeoutExpired:
            end = "let go of everything"
        said = f" ({line})" if (line := self._last_line()) else ""
        return f"the process that tried it {end} at its {self._doing or 'start'}{said}; {self.info.way_out}"

    def end(self) -> None:
        """End it, with whatever it has started."""
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self.report)
        self._said.close()

    @property
    def _doing(self) -> str:
        return self._words.split()[-1] if self._words else ""

    def _last_line(self) -> str:
        """The end of what it printed: native code says there why it gives up."""
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(self._said.tell() - 300, 0))
        lines = self._said.read().decode(errors="replace").split("\n")
        return " ".join(next((line for line in reversed(lines) if line.strip()), "").split())


def _order(point: EntryPoint, settings: Settings) -> bytes:
    return json.dumps(
        {
            "path": sys.path,
            "name": point.name,
            "value": point.value,
            "settings": settings.model_dump(mode="json"),
            "settings_file": str(settings.file) if settings.file else None,
        }
    ).encode()
