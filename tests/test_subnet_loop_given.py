"""The subnets' loop with what EKS was given, and with when the subnets run out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from exporter.core.forecast import Forecaster, Pace
from exporter.core.health import Source
from exporter.core.model import ControlPlane
from exporter.core.owners import ClusterFacts
from exporter.core.subnets import Role, SubnetUsage
from tests.builders import node, snapshot, target, unread
from tests.core.subnet_worlds import address, eni, subnet
from tests.test_subnet_loop import BALANCER, HOME, PERIOD, PRIMARY, READ, WHOLE, World, accounted

SPARE = subnet("10.0.1.0/24", id="subnet-b", available=200)
GIVEN = ControlPlane("vpc-1", frozenset({"subnet-b"}))
FACTS = ClusterFacts(cluster_subnets=GIVEN.subnets)
LISTED = replace(BALANCER, subnet_id="subnet-b", addresses=(address("10.0.1.5"),))


class Given(World):
    """A world in which EKS tells what it was given."""

    def __init__(self, *given: ControlPlane) -> None:
        super().__init__((PRIMARY, LISTED), (HOME, SPARE))
        self.given = given[0] if given else ControlPlane()
        self.loop.control_plane = lambda: self.given

    @property
    def last(self) -> dict[str, SubnetUsage]:
        """The subnets that were published last, by id."""
        return {usage.subnet.id: usage for usage in self.published[-1]}


def bare(*, free: int = 200, roles: tuple[Role, ...] = (Role.CONTROL_PLANE,)) -> SubnetUsage:
    """The spare subnet as it is known without its ENIs."""
    return SubnetUsage(
        subnet=replace(SPARE, available=free),
        size=256,
        free=free,
        utilization=1 - free / 251,
        roles=roles,
        of_eks=True,
    )


class TestASubnetOfEks:
    def test_is_accounted_for_before_an_eni_of_the_cluster_is_in_it(self) -> None:
        world = Given(GIVEN)
        world.survey()
        spare = accounted(LISTED, where=SPARE, facts=FACTS)
        assert world.published == [(accounted(PRIMARY), spare)]
        assert (spare.roles, spare.of_eks) == ((Role.CONTROL_PLANE,), True)
        world.refresh()
        assert world.published[1] == world.published[0]

    def test_joins_between_two_surveys_and_goes_with_the_next(self) -> None:
        world = Given()
        world.survey()
        assert set(world.last) == {"subnet-a"}
        world.given = GIVEN
        world.refresh()
        assert world.last == {"subnet-a": accounted(PRIMARY), "subnet-b": bare()}
        world.given = ControlPlane()
        world.later(PERIOD)
        world.survey()
        assert set(world.last) == {"subnet-a"}

    def test_that_was_known_already_gets_its_role_at_once_and_keeps_the_others(self) -> None:
        world = Given()
        world.survey()
        world.given = ControlPlane("vpc-1", frozenset({"subnet-a"}))
        world.refresh()
        before = accounted(PRIMARY)
        assert before.roles == (Role.NODE, Role.POD)
        assert world.shown == replace(
            before, roles=(Role.NODE, Role.POD, Role.CONTROL_PLANE), of_eks=True
        )


class TestWhereEnisMayNotBeListed:
    @pytest.mark.parametrize("call", ["find_vpcs", "read_enis"])
    def test_the_subnets_of_eks_are_told_of_from_the_start(self, call: str) -> None:
        world = Given(GIVEN)
        world.ec2.failing[call] = "DescribeNetworkInterfaces is not allowed"
        world.survey()
        world.refresh()
        assert world.published == [(bare(),)]
        assert world.noted == [
            "ec2_enis: DescribeNetworkInterfaces is not allowed",
            "ec2_subnets: up",
        ]
        world.ec2.subnets["subnet-b"] = replace(SPARE, available=100)
        world.later()
        world.refresh()
        assert world.last == {"subnet-b": bare(free=100)}

    def test_those_of_eniconfigs_are_told_of_as_well(self) -> None:
        world = Given()
        world.snapshot = snapshot(READ, eniconfigs={"pods": "subnet-b"})
        world.ec2.failing["find_vpcs"] = "not allowed"
        world.refresh()
        assert world.last == {"subnet-b": replace(bare(roles=(Role.POD,)), of_eks=False)}

    def test_nothing_is_asked_where_neither_names_any(self) -> None:
        world = Given()
        world.ec2.failing["find_vpcs"] = "not allowed"
        world.survey()
        world.ec2.asked.clear()
        world.refresh()
        assert (world.ec2.asked, world.published) == ([], [])

    def test_nothing_is_asked_before_anything_is_known_at_all(self) -> None:
        world = Given()
        world.snapshot = None
        world.refresh()
        assert (world.ec2.asked, world.published, world.notes) == ([], [], [])

    def test_they_become_whole_once_enis_may_be_listed(self) -> None:
        world = Given(GIVEN)
        world.ec2.failing["read_enis"] = "not allowed"
        world.survey()
        world.refresh()
        world.ec2.failing.clear()
        world.survey()
        assert world.published[-1] == (
            accounted(PRIMARY),
            accounted(LISTED, where=SPARE, facts=FACTS),
        )


class TestTheVpc:
    @pytest.mark.parametrize(
        ("shot", "calls"),
        [
            pytest.param(snapshot(), ["read_enis"], id="no nodes"),
            pytest.param(
                snapshot(unread(target(node(instance_id="")))), ["read_enis"], id="no instance ids"
            ),
            pytest.param(snapshot(READ), ["find_vpcs", "read_enis"], id="no ENI of the nodes'"),
        ],
    )
    def test_is_the_one_that_eks_was_given_where_nodes_do_not_tell(
        self, shot: object, calls: list[str]
    ) -> None:
        world = Given(GIVEN)
        world.snapshot, world.ec2.vpcs = shot, ()  # type: ignore[assignment]
        world.survey()
        assert world.ec2.asked[-2:] == [
            ("read_enis", ("vpc-1",)),
            ("read_subnets", tuple(sorted(world.last)), ("vpc-1",)),
        ]
        assert world.ec2.calls == [*calls, "read_subnets"]
        assert "subnet-b" in world.last
        assert world.loop.told.vpc_id == "vpc-1"

    def test_is_the_nodes_own_where_they_tell(self) -> None:
        world = Given(replace(GIVEN, vpc_id="vpc-9"))
        world.survey()
        assert world.ec2.asked[:2] == [("find_vpcs", ("i-1",)), ("read_enis", ("vpc-1",))]


class TestTheForecast:
    def test_is_fed_by_each_reading_and_told_beside_the_accounts(self) -> None:
        world = World()
        world.loop.forecaster = Forecaster(Pace(least=720, every=60))
        world.survey()
        for minute in range(1, 16):
            world.later()
            world.ec2.subnets["subnet-a"] = replace(HOME, available=243 - 5 * minute)
            world.survey()
            world.refresh()
        told = [usages[0].exhaustion_seconds for usages in world.published]
        assert told[:12] == [None] * 12
        assert told[-1] == pytest.approx((243 - 75) / 5 * 60, rel=0.02)
        assert replace(world.shown, exhaustion_seconds=None) == replace(
            WHOLE,
            subnet=world.shown.subnet,
            free=168,
            utilization=world.shown.utilization,
            uses=world.shown.uses,
            residue=world.shown.residue,
            fragmentation=world.shown.fragmentation,
        )

    def test_goes_by_the_stopwatch(self) -> None:
        world = World()
        world.loop.forecaster = Forecaster(Pace(least=720, every=60))
        for minute in range(16):
            world.later()
            world.clock.now -= 86_400.0 * minute
            world.ec2.subnets["subnet-a"] = replace(HOME, available=243 - 5 * minute)
            world.survey()
            world.refresh()
        assert world.shown.exhaustion_seconds == pytest.approx((243 - 75) / 5 * 60, rel=0.02)

    def test_is_told_in_the_order_of_the_readings(self) -> None:
        world = World()
        world.survey()

        async def both() -> None:
            await asyncio.gather(world.loop.refresh(), world.loop.refresh())

        asyncio.run(both())
        (history,) = world.loop.forecaster.histories.values()
        assert history.readings == (243, 243, 243)
        assert world.published == [(WHOLE,)] * 3


def test_the_sources_of_a_world_without_eks_are_those_of_ec2() -> None:
    world = World()
    world.survey()
    assert {source for source, _ in world.notes} == {Source.EC2_ENIS, Source.EC2_SUBNETS}


def test_a_nodes_eni_in_a_subnet_of_eks_counts_as_ever() -> None:
    world = Given(ControlPlane("vpc-1", frozenset({"subnet-a"})))
    world.ec2.enis = (PRIMARY, eni("eni-9", description="Amazon EKS green"))
    world.survey()
    assert world.shown.roles == (Role.NODE, Role.POD, Role.CONTROL_PLANE)
