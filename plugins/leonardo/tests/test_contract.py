"""Leonardo.ai keeps the contract that every generator is held by, with the stand-in for what costs money."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from standin import StandIn
from visioncraft import Generator
from visioncraft.testing import GeneratorContract, overridden
from visioncraft_leonardo.generator import LeonardoGenerator


class TestLeonardo(GeneratorContract):
    """It waits for a network, so it tells stages."""

    @pytest.fixture
    def generator(self, make: Callable[..., LeonardoGenerator]) -> Generator:
        return make()

    @overridden("the stand-in paints one picture whatever is asked; the seed is Leonardo.ai's to obey once it is sent")
    def test_another_seed_draws_another_picture(  # type: ignore[override]
        self, ask: Callable[..., object], draw: Callable[..., object], standin: StandIn
    ) -> None:
        for seed in (7, 8):
            draw(ask(seed=seed))
        assert [order["seed"] for order in standin.orders] == [7, 8]
