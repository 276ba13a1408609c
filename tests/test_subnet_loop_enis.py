"""What the subnets' loop does with the ENIs it has read, of which there may be hundreds of
thousands."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import fields

import pytest

from exporter.app.aws import Aws
from exporter.core.model import Eni
from tests.test_subnet_loop import HOME, PRIMARY, Vpcs, World


class Watching(Vpcs):
    """Tells of each call whether the loop said that it holds ENIs, and holds none once they are
    read."""

    def __init__(self, world: World, enis: Sequence[Eni]) -> None:
        super().__init__(enis, (HOME,), world.stopwatch)
        self.world = world
        self.seen: list[tuple[str, bool]] = []

    def _ask(self, call: str, *given: object) -> None:
        self.seen.append((call, Aws(self.world.loop).surveying))
        super()._ask(call, *given)

    async def read_enis(self, *, vpc_ids: Sequence[str]) -> tuple[Eni, ...]:
        found = await super().read_enis(vpc_ids=vpc_ids)
        self.enis = ()
        return found


class Held(Eni):
    """An ENI that tells when nobody holds it any more: whether on the event loop's thread, and
    what ENIs had told by then."""

    let_go: list[tuple[bool, Mapping[str, object]]]
    world: World

    def __del__(self) -> None:
        on_the_loop = threading.current_thread() is threading.main_thread()
        self.let_go.append((on_the_loop, self.world.loop.facts().node_enis))


def holding(count: int) -> tuple[World, list[tuple[bool, Mapping[str, object]]]]:
    """Return a world whose EC2 has so many ENIs, and where it is noted when they are let go."""
    world, let_go = World(), list[tuple[bool, Mapping[str, object]]]()
    kind = type("HeldHere", (Held,), {"let_go": let_go, "world": world})
    members = {it.name: getattr(PRIMARY, it.name) for it in fields(PRIMARY)}
    world.loop.reader = world.ec2 = Watching(world, [kind(**members) for _ in range(count)])
    return world, let_go


@pytest.mark.parametrize("call", ["", "find_vpcs", "read_enis", "read_subnets"])
def test_a_survey_is_said_to_be_under_way_until_it_ends_however_it_does(call: str) -> None:
    world = World()
    world.loop.reader = ec2 = Watching(world, [PRIMARY])
    ec2.failing = {call: "timed out"}
    world.survey()
    assert {under_way for _, under_way in ec2.seen} == {True}
    assert not Aws(world.loop).surveying
    assert not Aws().surveying


@pytest.mark.parametrize("failing", [False, True])
def test_enis_are_let_go_beside_the_event_loop(failing: bool) -> None:
    world, let_go = holding(500)
    world.ec2.failing = {"read_subnets": "timed out"} if failing else {}
    world.survey()
    assert [on_the_loop for on_the_loop, _ in let_go] == [False] * 500


def test_what_they_told_is_known_before_they_are_gone() -> None:
    world, let_go = holding(1)
    world.survey()
    assert [list(told) for _, told in let_go] == [["i-1"]]
