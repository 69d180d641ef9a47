"""Which files' tests stay in one process where several processes share them (`make test`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER: Mapping[str, frozenset[str]] = {
    "real": frozenset(
        {"test_contract_examples.py", "test_docs.py", "test_engines.py", "test_gallery_api.py", "test_several.py"}
    ),
    "wheelhouse": frozenset({"test_docs_plugins.py", "test_packaging.py", "test_plugin_install.py"}),
}
"""Fixtures that there is one of, and the files that use them: one has a port of its own, the other takes long.

xdist's own groups, which are marks, do nothing with pytest 9.2: they are passed in a part of a test's name that it
left. The process that shares the tests out sees names alone.
"""

LONGEST = (
    *("test_docs_plugins.py", "test_docs.py", "test_compiling.py", "test_leaks.py", "test_storage_full.py"),
    *("test_onnx_openvino.py", "test_cli_plugins.py", "test_training.py", "test_onnx_export.py", "test_editing.py"),
)
"""Files that take long, the longest first: begun last, one would keep a process busy while the others have no work."""

_GROUPS = {file: fixture for fixture, files in TOGETHER.items() for file in files}


class Together(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests go to one process, and so do those of files that belong together."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _GROUPS.get(PurePosixPath(file).name, file)


def begin_with_longest(items: list[pytest.Item]) -> None:
    """Put the tests of `LONGEST` first; the others stay as they are. Processes take files in this order."""
    ranks = {file: rank for rank, file in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


def check(items: Iterable[pytest.Item]) -> None:
    """Raise `pytest.UsageError` for a test that uses such a fixture in a file that is not named."""
    for item in items:
        for fixture in TOGETHER.keys() & set(getattr(item, "fixturenames", ())):
            if item.path.name not in TOGETHER[fixture]:
                raise pytest.UsageError(f"{item.path}: uses '{fixture}': name it in tests/support/processes.py")
