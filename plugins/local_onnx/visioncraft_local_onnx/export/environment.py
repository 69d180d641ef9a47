"""The environment that exports: made once, beside the models, and made anew when its requirements change."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock
from visioncraft import Progress, ServiceUnavailable, StorageError, with_patient_threads

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_SECRETS = re.compile(r"VISIONCRAFT_|\w+_(KEY|TOKEN|SECRET)$")


class Environment:
    """A virtual environment.

    Args:
        folder: Where it lies; it takes about 1.3 GB with a CPU build of torch.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp = folder / ".requirements"

    def python(self, progress: Progress) -> Path:
        """Its interpreter, the environment made first where it is absent or old.

        Raises `ServiceUnavailable` where packages cannot be had, `StorageError` where it cannot be written.
        """
        python = self._folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder.with_name(f"{self._folder.name}.lock")):
                if not self._stamp.is_file() or self._stamp.read_text("ascii") != wanted:
                    self._make(python, progress)
                    self._stamp.write_text(wanted, "ascii")
        except OSError as error:
            raise StorageError(f"{self._folder}: the environment cannot be made: {error.strerror}") from error
        return python

    def _make(self, python: Path, progress: Progress) -> None:
        progress.stage("making an environment for the export")
        self._run([sys.executable, "-m", "venv", "--clear", str(self._folder)], progress)
        pip = [str(python), "-m", "pip", "install", "--progress-bar", "off", "--disable-pip-version-check"]
        self._run([*pip, "-r", str(REQUIREMENTS)], progress)

    def _run(self, command: Sequence[str], progress: Progress) -> None:
        """Run to the end, each of pip's steps as a stage. Raises `ServiceUnavailable` with its last word."""
        said = ""
        with running(command, clean_environment()) as process:
            for line in process.stdout or ():
                said = line.strip() if line.lower().startswith("error") or not said else said
                if found := re.match(r"(Collecting|Downloading|Installing collected) (\S+)", line):
                    progress.stage(f"{found[1].lower()} {found[2].rpartition('/')[2][:40]}")
        if process.returncode:
            raise ServiceUnavailable(
                f"The environment for the export could not be made: {said[:300]}; check the network, then export again"
            )


def running(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """A process whose words, both kinds, are read as lines; it ends with the block that holds it."""
    return _Owned(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def clean_environment() -> dict[str, str]:
    """This process's environment without secrets, and without paths that would lead into the server's own packages.

    What computes in it shares the machine: its threads sleep while they wait.
    """
    kept = {name: value for name, value in os.environ.items() if not _SECRETS.match(name) and name != "PYTHONPATH"}
    return with_patient_threads(kept)


class _Owned(subprocess.Popen[str]):
    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self.kill()
        super().__exit__(*error)  # type: ignore[arg-type]
