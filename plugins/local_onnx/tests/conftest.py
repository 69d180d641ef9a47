"""What the tests of this plugin share."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """diffusers' schedulers warn thousands of times of an API of NumPy that they will have to leave."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"))
