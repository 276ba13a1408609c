"""What the subnets' loop does with the ENIs it has read, of which there may be hundreds of
thousands."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

import pytest

from exporter.app.aws import Aws
from exporter.core.model import Eni, Subnet
from tests.test_subnet_loop import HOME, PRIMARY, Vpcs, World


class Held(Eni):
    """An ENI that tells when nobody holds it any more."""

    let_go: list[tuple[bool, Mapping[str, object]]]
    world: World

    def __del__(self) -> None:
        on_the_loop = threading.current_thread() is threading.main_thread()
        self.let_go.append((on_the_loop, self.world.loop.facts().node_enis))


class Watching(Vpcs):
    """Tells of each call whether the loop said that it holds ENIs."""

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

    async def read_subnets(self, ids: Iterable[str], vpc_ids: Iterable[str]) -> tuple[Subnet, ...]:
        return await super().read_subnets(ids, vpc_ids)


def watched(*enis: Eni) -> tuple[World, Watching]:
    world = World()
    world.loop.reader = world.ec2 = Watching(world, enis)
    return world, world.ec2


@pytest.mark.parametrize("call", ["", "find_vpcs", "read_enis", "read_subnets"])
def test_a_survey_is_said_to_be_under_way_until_it_ends_however_it_does(call: str) -> None:
    world, ec2 = watched(PRIMARY)
    ec2.failing = {call: "timed out"}
    world.survey()
    assert {under_way for _, under_way in ec2.seen} == {True}
    assert not Aws(world.loop).surveying
    assert not Aws().surveying


@pytest.mark.parametrize("failing", [False, True])
def test_enis_are_let_go_beside_the_event_loop(failing: bool) -> None:
    let_go: list[tuple[bool, Mapping[str, object]]] = []
    world = World()
    members = {"let_go": let_go, "world": world}
    held = type("HeldHere", (Held,), members)
    enis = [
        held(**{it.name: getattr(PRIMARY, it.name) for it in fields(PRIMARY)}) for _ in range(500)
    ]
    world.loop.reader = world.ec2 = Watching(world, enis)
    world.ec2.failing = {"read_subnets": "timed out"} if failing else {}
    enis.clear()
    world.survey()
    assert len(let_go) == 500
    assert {on_the_loop for on_the_loop, _ in let_go} == {False}


def test_what_they_told_is_known_before_they_are_gone() -> None:
    let_go: list[tuple[bool, Mapping[str, object]]] = []
    world = World()
    held = type("HeldHere", (Held,), {"let_go": let_go, "world": world})
    one = held(**{it.name: getattr(PRIMARY, it.name) for it in fields(PRIMARY)})
    world.loop.reader = world.ec2 = Watching(world, [one])
    del one
    world.survey()
    assert [list(told) for _, told in let_go] == [["i-1"]]
