from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.outputs.guard.limits import Busy, Remembered, Turns, fingerprint


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestAFingerprint:
    @given(
        st.lists(st.binary(max_size=4), max_size=4),
        st.lists(st.binary(max_size=4), max_size=4),
    )
    def test_is_the_same_for_the_same_parts_alone(
        self, one: list[bytes], other: list[bytes]
    ) -> None:
        assert (fingerprint(*one) == fingerprint(*other)) is (one == other)

    def test_is_another_in_another_process(self) -> None:
        program = "from exporter.outputs.guard.limits import fingerprint as f; print(f(b'a').hex())"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert len(done.stdout.strip()) == 64
        assert done.stdout.strip() != fingerprint(b"a").hex()


class TestWhatIsRemembered:
    def test_is_known_until_its_time_is_over(self) -> None:
        clock = Clock()
        memory: Remembered[str] = Remembered(2, 60.0, clock)
        memory.put(b"a", "x")
        clock.now += 59.9
        assert memory.get(b"a") == "x"
        clock.now += 0.1
        assert memory.get(b"a") is None
        memory.put(b"a", "y")
        assert memory.get(b"a") == "y"

    def test_is_never_more_than_so_much_and_the_oldest_goes_first(self) -> None:
        memory: Remembered[int] = Remembered(2, 60.0, Clock())
        for number, key in enumerate((b"a", b"b", b"a", b"c")):
            memory.put(key, number)
        assert [memory.get(key) for key in (b"a", b"b", b"c")] == [2, None, 3]


class TestTurns:
    def test_are_had_by_so_many_at_once(self) -> None:
        async def scenario() -> int:
            turns, working, most = Turns(at_once=2, waiting=9, of_each=9), 0, 0

            async def work(who: str) -> None:
                nonlocal working, most
                async with turns.turn(who):
                    working += 1
                    most = max(most, working)
                    await asyncio.sleep(0)
                    working -= 1

            await asyncio.gather(*(work(str(number % 3)) for number in range(9)))
            return most

        assert asyncio.run(scenario()) == 2

    def test_are_refused_to_one_who_has_enough_and_to_all_where_too_many_wait(self) -> None:
        async def scenario() -> list[str]:
            turns, told, go = Turns(at_once=1, waiting=3, of_each=2), list[str](), asyncio.Event()

            async def work(who: str) -> None:
                try:
                    async with turns.turn(who):
                        await go.wait()
                except Busy:
                    told.append(who)

            tasks = [asyncio.create_task(work(who)) for who in ("a", "a", "a", "b", "c")]
            await asyncio.sleep(0)
            go.set()
            await asyncio.gather(*tasks)
            # All of them are over, so that there is room again.
            async with turns.turn("a"):
                told.append("room")
            return told

        assert asyncio.run(scenario()) == ["a", "c", "room"]

    def test_that_end_in_an_error_or_are_given_up_are_free_again(self) -> None:
        async def scenario() -> None:
            turns = Turns(at_once=1, waiting=1, of_each=1)
            with pytest.raises(ZeroDivisionError):
                async with turns.turn("a"):
                    raise ZeroDivisionError
            async with turns.turn("a"):
                with pytest.raises(Busy):
                    async with turns.turn("b"):
                        pass
            async with turns.turn("b"):
                pass

        asyncio.run(scenario())
