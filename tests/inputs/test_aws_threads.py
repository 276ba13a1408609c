from __future__ import annotations

import asyncio
import time

import pytest

from exporter.aws import Threads, UnderWay
from exporter.core.model import Unanswered

STEP = 0.25


def ran(*, steps: int, says_so: bool, seconds: float) -> int:
    """Return what a call returns that takes so many steps."""

    def call(under_way: UnderWay) -> int:
        for _ in range(steps):
            time.sleep(STEP)
            if says_so:
                under_way.goes_on()
        return steps

    return asyncio.run(Threads("aws").run(call, seconds=seconds))


def test_a_call_that_goes_on_may_take_as_long_as_it_needs() -> None:
    assert ran(steps=6, says_so=True, seconds=4 * STEP) == 6


@pytest.mark.parametrize("says_so", [False, True])
def test_a_call_that_does_nothing_for_too_long_is_given_up(says_so: bool) -> None:
    with pytest.raises(Unanswered, match="aws: took too long"):
        ran(steps=2, says_so=says_so, seconds=STEP / 5)


def test_a_call_learns_that_nobody_waits_any_more() -> None:
    seen: list[bool] = []

    def call(under_way: UnderWay) -> None:
        seen.append(under_way.given_up)
        while not under_way.given_up:
            time.sleep(STEP / 50)
        seen.append(under_way.given_up)

    async def run() -> None:
        with pytest.raises(Unanswered):
            await Threads("aws").run(call, seconds=STEP)
        await asyncio.sleep(STEP)

    asyncio.run(run())
    assert seen == [False, True]


def test_news_of_a_call_that_has_ended_change_nothing() -> None:
    kept: list[UnderWay] = []
    troubles: list[object] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: troubles.append(told))
        await Threads("aws").run(kept.append, seconds=STEP)
        kept[0].goes_on()
        await asyncio.sleep(STEP)

    asyncio.run(run())
    # Nor after the loop that it would be told to is closed.
    kept[0].goes_on()
    assert troubles == []
