from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from exporter.core.access import Verdict
from exporter.core.model import Unavailable
from exporter.outputs.guard.limits import Busy
from exporter.outputs.guard.tokens import Tokens

REMOTE = "10.0.0.1"


class Reviewer:
    """Says of tokens what the test says, and counts."""

    def __init__(self, **verdicts: Verdict) -> None:
        self.verdicts = verdicts
        self.asked: list[str] = []
        self.away = False
        self.now = 1000.0

    async def __call__(self, token: str) -> Verdict:
        self.asked.append(token)
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("kubernetes", "timed out")
        return self.verdicts.get(token, Verdict.UNKNOWN)

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("token", "seconds"),
    [("good", 60), ("forbidden", 10), ("unknown", 10)],
)
def test_a_verdict_is_remembered_for_its_time(token: str, seconds: int) -> None:
    async def scenario() -> None:
        reviewer = Reviewer(good=Verdict.ALLOWED, forbidden=Verdict.FORBIDDEN)
        tokens = Tokens(reviewer, reviewer.clock)
        first = await tokens.verdict(token, remote=REMOTE)
        reviewer.verdicts = {token: Verdict.FORBIDDEN if token == "good" else Verdict.ALLOWED}
        reviewer.now += seconds - 0.1
        assert await tokens.verdict(token, remote=REMOTE) is first
        assert reviewer.asked == [token]
        reviewer.now += 0.2
        assert await tokens.verdict(token, remote=REMOTE) is reviewer.verdicts[token]
        assert reviewer.asked == [token, token]

    asyncio.run(scenario())


def test_a_token_that_was_allowed_and_no_longer_is_stays_refused() -> None:
    async def scenario() -> list[Verdict]:
        reviewer = Reviewer(good=Verdict.ALLOWED)
        tokens = Tokens(reviewer, reviewer.clock)
        found = [await tokens.verdict("good", remote=REMOTE)]
        reviewer.verdicts = {}
        for _ in range(3):
            reviewer.now += 60
            found.append(await tokens.verdict("good", remote=REMOTE))
        return found

    assert asyncio.run(scenario()) == [Verdict.ALLOWED, *[Verdict.UNKNOWN] * 3]


def test_while_nobody_can_be_asked_those_known_are_let_in_for_their_minute_and_no_others() -> None:
    async def scenario() -> None:
        reviewer = Reviewer(good=Verdict.ALLOWED, late=Verdict.ALLOWED)
        tokens = Tokens(reviewer, reviewer.clock)
        await tokens.verdict("good", remote=REMOTE)
        reviewer.away = True
        assert await tokens.verdict("good", remote=REMOTE) is Verdict.ALLOWED
        for _ in range(2):
            with pytest.raises(Unavailable, match="timed out"):
                await tokens.verdict("late", remote=REMOTE)
        reviewer.now += 61
        with pytest.raises(Unavailable, match="timed out"):
            await tokens.verdict("good", remote=REMOTE)
        reviewer.away = False
        assert await tokens.verdict("late", remote=REMOTE) is Verdict.ALLOWED

    asyncio.run(scenario())


def test_those_who_ask_with_one_token_at_a_time_wait_for_one_answer() -> None:
    async def scenario() -> list[str]:
        reviewer = Reviewer(good=Verdict.ALLOWED)
        tokens = Tokens(reviewer, reviewer.clock)
        # More than are asked about at once.
        found = await asyncio.gather(*(tokens.verdict("good", remote=str(n)) for n in range(20)))
        assert set(found) == {Verdict.ALLOWED}
        return reviewer.asked

    assert len(asyncio.run(scenario())) <= 4


@pytest.mark.parametrize(
    ("remote", "asked"),
    [
        pytest.param(lambda _: "10.9.0.9", 16, id="from one address"),
        pytest.param(str, 64, id="from many addresses"),
    ],
)
def test_a_flood_of_tokens_is_no_flood_of_reviews_and_pushes_nobody_out(
    remote: Callable[[int], str], asked: int
) -> None:
    async def scenario() -> None:
        reviewer = Reviewer(good=Verdict.ALLOWED)
        tokens = Tokens(reviewer, reviewer.clock)
        await tokens.verdict("good", remote=REMOTE)
        flood = (tokens.verdict(f"t{n}", remote=remote(n)) for n in range(3000))
        ended = await asyncio.gather(*flood, return_exceptions=True)
        assert sum(isinstance(it, Busy) for it in ended) == 3000 - asked
        assert len(reviewer.asked) == 1 + asked
        for number in range(3000):
            await tokens.verdict(f"later-{number}", remote=REMOTE)
        assert await tokens.verdict("good", remote=REMOTE) is Verdict.ALLOWED
        assert reviewer.asked.count("good") == 1

    asyncio.run(scenario())


def test_no_token_is_remembered_in_the_clear() -> None:
    tokens = Tokens(Reviewer(secret=Verdict.ALLOWED))
    asyncio.run(tokens.verdict("secret", remote=REMOTE))
    assert "secret" not in repr([vars(tokens)[name] for name in ("_allowed", "_refused")])
