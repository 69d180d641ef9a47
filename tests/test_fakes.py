"""What stands in for engines in the whole-system tests keeps the contract that engines are held by."""

from __future__ import annotations

import pytest
from fake_engine import FakeCloud, FakeEngine
from harness import free_port
from visioncraft import Generator
from visioncraft.testing import GeneratorContract


class TestFakeEngine(GeneratorContract):
    """Without its server, as a command runs it."""

    @pytest.fixture
    def generator(self) -> Generator:
        return FakeEngine(free_port())


class TestFakeCloud(GeneratorContract):
    """A coroutine, as a cloud service's generator is."""

    @pytest.fixture
    def generator(self) -> Generator:
        return FakeCloud()
