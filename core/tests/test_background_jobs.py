"""Work for when nobody waits, as the lines of a batch."""

from __future__ import annotations

import pytest
from stepping import Stepper, play, running, submit
from visioncraft.errors import RateLimitExceeded
from visioncraft.jobs.job import Order


def test_work_in_the_background_takes_no_place_in_the_queue_from_others_and_is_bounded_itself() -> None:
    async def scene() -> None:
        generator, background = Stepper(), Order(priority=-1)
        async with running(generator, capacity=1) as runtime:
            for number in range(2):
                await submit(runtime, f"background {number}", order=background)
            await submit(runtime, "somebody's")
            for order in (background, Order()):
                with pytest.raises(RateLimitExceeded):
                    await submit(runtime, "one too many", order=order)
            generator.gate.release(100)
            while runtime.jobs.live():
                await runtime.jobs.live()[0].wait()
            assert list(generator.taken) == ["background 0", "somebody's", "background 1"]

    play(scene)
