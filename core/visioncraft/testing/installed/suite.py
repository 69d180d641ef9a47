"""The contract as `visioncraft plugins check NAME` holds it: every generator and store of one installed plugin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from visioncraft.plugins.contracts import Generator, ImageStore
from visioncraft.testing.contracts.generator import GeneratorContract
from visioncraft.testing.contracts.store import ImageStoreContract
from visioncraft.testing.installed.pytest_plugin import OFFERED, Offered
from visioncraft.types.models import ModelInfo


@pytest.fixture
def offered(pytestconfig: pytest.Config) -> Offered:
    """What the plugin offers."""
    return pytestconfig.stash[OFFERED]


class TestGenerator(GeneratorContract):
    """Each of its generators."""

    @pytest.fixture
    def generator(self, generator_name: str, offered: Offered, tmp_path: Path) -> Generator:
        """One of them, made for this test."""
        return offered.generator(generator_name, tmp_path)

    @pytest.fixture
    def model(self, generator_name: str, offered: Offered) -> ModelInfo:
        """A model on this machine, its own or another plugin's, that it can draw with."""
        found = offered.models[generator_name]
        assert found is not None
        return found


class TestStore(ImageStoreContract):
    """Each of its stores."""

    @pytest.fixture
    def make_store(self, store_name: str, offered: Offered, tmp_path: Path) -> Callable[[], ImageStore]:
        """Stores on an empty folder of this test."""
        return lambda: offered.store(store_name, tmp_path)
