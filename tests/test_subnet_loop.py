from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from exporter.core.health import Source, SourceHealth
from exporter.core.model import (
    Ec2Facts,
    Eni,
    Identity,
    InstanceType,
    Node,
    Outcome,
    Reservation,
    Snapshot,
    Subnet,
    Unavailable,
)
from exporter.core.node_enis import NodeEni
from exporter.core.owners import ClusterFacts, Use
from exporter.core.subnets import Memory, Role, SubnetUsage, Survey, accounts
from exporter.subnet_loop import SubnetLoop, Told
from tests.builders import NOW, books, held, node, pod, read, reading, snapshot, target, unread
from tests.core.subnet_worlds import address, eni, run_of, subnet

PERIOD = 180.0
BEAT = 60.0
CLUSTER = "kubernetes.io/cluster/green"
DISCOVERY = "kubernetes.io/role/cni"


@dataclass
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


LARGE = InstanceType(name="r6i.large", enis=3, ipv4_per_eni=10, vcpus=2)


class Vpcs:
    """What EC2 has and answers; a call takes as long as it is told, and fails where it is told."""

    def __init__(self, enis: Sequence[Eni], subnets: Sequence[Subnet], stopwatch: Clock) -> None:
        self.enis = tuple(enis)
        self.subnets = {it.id: it for it in subnets}
        self.vpcs: tuple[str, ...] = ("vpc-1",)
        self.failing: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.asked: list[tuple[object, ...]] = []
        self._stopwatch = stopwatch

    async def find_vpcs(self, instance_ids: Sequence[str]) -> tuple[str, ...]:
        self._ask("find_vpcs", tuple(instance_ids))
        return self.vpcs

    async def read_enis(self, *, vpc_ids: Sequence[str]) -> tuple[Eni, ...]:
        self._ask("read_enis", tuple(vpc_ids))
        return self.enis

    async def read_subnets(self, ids: Iterable[str], vpc_ids: Iterable[str]) -> tuple[Subnet, ...]:
        ids = set(ids)
        self._ask("read_subnets", tuple(sorted(ids)), tuple(vpc_ids))
        found = sorted(self.subnets.items())
        return tuple(it for id, it in found if id in ids or DISCOVERY in it.tags)

    async def read_instance_types(self, names: Iterable[str]) -> Mapping[str, InstanceType]:
        return {name: LARGE for name in names if name == LARGE.name}

    def _ask(self, call: str, *given: object) -> None:
        self.asked.append((call, *given))
        self._stopwatch.now += self.seconds.get(call, 0.0)
        if call in self.failing:
            raise Unavailable("ec2", self.failing[call])

    @property
    def calls(self) -> list[object]:
        """What was asked since the last look."""
        calls = [call for call, *_ in self.asked]
        self.asked.clear()
        return calls


PRIMARY = eni("eni-1", instance_id="i-1", device_index=0, addresses=run_of("10.0.0.10", 6))
BALANCER = eni("eni-2", description="ELB app/web/1", addresses=(address("10.0.0.5"),))
NODE = target(node("node-1", instance_id="i-1"))
READ = read(NODE, reading(assigned=3, attached=5, enis=1, assigned_by_eni=(("eni-1", 3),)))
HOME = subnet(available=243)


class World:
    """A loop over one VPC, with clocks that stand still until they are moved."""

    def __init__(
        self, enis: Sequence[Eni] = (PRIMARY, BALANCER), subnets: Sequence[Subnet] = (HOME,)
    ) -> None:
        self.clock = Clock(NOW)
        self.stopwatch = Clock(1_000.0)
        self.ec2 = Vpcs(enis, subnets, self.stopwatch)
        self.snapshot: Snapshot | None = snapshot(READ)
        self.published: list[tuple[SubnetUsage, ...]] = []
        self.notes: list[tuple[Source, SourceHealth]] = []
        self.loop = SubnetLoop(
            self.ec2,
            lambda: self.snapshot,
            self._publish,
            lambda source, state: self.notes.append((source, state)),
            self.clock,
            PERIOD,
            self.stopwatch,
        )

    async def _publish(self, usages: tuple[SubnetUsage, ...]) -> None:
        self.published.append(usages)

    def survey(self) -> None:
        asyncio.run(self.loop.survey_if_due())

    def refresh(self) -> None:
        asyncio.run(self.loop.refresh())

    def later(self, seconds: float = BEAT) -> None:
        self.clock.now += seconds
        self.stopwatch.now += seconds

    @property
    def shown(self) -> SubnetUsage:
        """The one subnet that was published last."""
        (usage,) = self.published[-1]
        return usage

    @property
    def noted(self) -> list[str]:
        """The news since the last look, in short."""
        news = [f"{source}: {'up' if it.up else it.reason}" for source, it in self.notes]
        self.notes.clear()
        return news


def accounted(
    *enis: Eni,
    where: Subnet = HOME,
    outcomes: tuple[Outcome, ...] = (READ,),
    facts: ClusterFacts | None = None,
) -> SubnetUsage:
    """The account of a subnet and all its ENIs, when nothing was known before."""
    given = Survey(
        subnets=(where,),
        enis={where.id: enis},
        facts=facts or ClusterFacts(),
        outcomes=outcomes,
    )
    return accounts(Memory(), given, NOW)[1][0]


WHOLE = accounted(PRIMARY, BALANCER)


class TestASurvey:
    def test_is_the_account_of_all_enis_and_of_the_subnets_read_right_after(self) -> None:
        world = World()
        world.survey()
        assert world.ec2.asked == [
            ("find_vpcs", ("i-1",)),
            ("read_enis", ("vpc-1",)),
            ("read_subnets", ("subnet-a",), ("vpc-1",)),
        ]
        assert world.published == [(WHOLE,)]
        assert WHOLE.uses is not None
        assert (WHOLE.uses[Use.POD_ASSIGNED], WHOLE.uses[Use.POD_WARM]) == (3, 2)

    def test_waits_for_the_first_snapshot(self) -> None:
        world = World()
        world.snapshot = None
        world.survey()
        assert (world.ec2.asked, world.published, world.notes) == ([], [], [])

    def test_asks_for_the_vpc_once_by_the_instances_that_are_known(self) -> None:
        world = World()
        nodes = (
            NODE,
            target(node("node-2", instance_id="")),
            target(node("node-3", instance_id="i-3")),
        )
        world.snapshot = snapshot(*(unread(it) for it in nodes))
        world.survey()
        world.later(PERIOD)
        world.survey()
        assert [it for it in world.ec2.asked if it[0] != "read_subnets"] == [
            ("find_vpcs", ("i-1", "i-3")),
            ("read_enis", ("vpc-1",)),
            ("read_enis", ("vpc-1",)),
        ]

    def test_reads_all_vpcs_that_the_nodes_are_in(self) -> None:
        world = World()
        world.ec2.vpcs = ("vpc-1", "vpc-2")
        world.survey()
        assert world.ec2.asked[1:] == [
            ("read_enis", ("vpc-1", "vpc-2")),
            ("read_subnets", ("subnet-a",), ("vpc-1", "vpc-2")),
        ]
        assert world.loop.told.vpc_id == "vpc-1"

    def test_remembers_what_the_one_before_saw(self) -> None:
        stray = eni("eni-3", status="available", description="aws-K8S-i-gone")
        world = World((PRIMARY, stray))
        world.survey()
        assert world.shown.leaked == {"this_cluster": 0, "unknown": 0}
        world.later(601.0)
        world.survey()
        assert world.shown.leaked == {"this_cluster": 0, "unknown": 1}

    def test_follows_the_latest_snapshot(self) -> None:
        world = World()
        world.survey()
        world.later(PERIOD)
        later = read(NODE, reading(assigned=5, enis=1, assigned_by_eni=(("eni-1", 5),)))
        world.snapshot = snapshot(later)
        world.survey()
        assert world.shown == accounted(PRIMARY, BALANCER, outcomes=(later,))

    def test_of_a_vpc_without_a_subnet_of_ours_is_published_too(self) -> None:
        world = World((BALANCER,))
        world.survey()
        assert world.published == [()]
        world.later()
        world.refresh()
        assert world.ec2.calls == ["find_vpcs", "read_enis", "read_subnets"]


OTHERS_TAG = {"kubernetes.io/cluster/blue": "owned"}
OURS_TAG = {CLUSTER: "owned"}


class TestTheSubnetsThatAreAccountedFor:
    @pytest.mark.parametrize(
        ("it", "ours"),
        [
            pytest.param(eni(instance_id="i-1", device_index=0), True, id="a node"),
            pytest.param(eni(instance_id="i-1", device_index=1), True, id="a node's pods"),
            pytest.param(
                eni(instance_id="i-1", device_index=2, interface_type="efa-only"),
                True,
                id="a node's other use",
            ),
            pytest.param(
                eni(instance_id="i-9", device_index=0, tags=OURS_TAG), True, id="ours by its tag"
            ),
            pytest.param(eni(interface_type="branch", tags=OURS_TAG), True, id="a pod's own"),
            pytest.param(eni(description="Amazon EKS green"), True, id="our control plane"),
            pytest.param(eni(addresses=(address("10.0.0.77"),)), True, id="Fargate"),
            pytest.param(
                eni(
                    status="available", description="aws-K8S-i-9", tags=OURS_TAG, created=NOW - 3600
                ),
                True,
                id="ours, on its way or leaked",
            ),
            pytest.param(
                eni(status="available", description="aws-K8S-i-9"), False, id="nobody's leak"
            ),
            pytest.param(
                eni(instance_id="i-9", device_index=0, tags=OTHERS_TAG), False, id="their node"
            ),
            pytest.param(eni(instance_id="i-9", device_index=0), False, id="another instance"),
            pytest.param(eni(description="Amazon EKS blue"), False, id="their control plane"),
            pytest.param(BALANCER, False, id="a load balancer"),
            pytest.param(eni(interface_type="nat_gateway"), False, id="a NAT gateway"),
        ],
    )
    def test_are_those_with_an_eni_of_this_cluster(self, it: Eni, ours: bool) -> None:
        there = replace(it, id="eni-9", subnet_id="subnet-b")
        world = World((PRIMARY, there), (HOME, subnet("10.0.1.0/24", id="subnet-b")))
        fargate = node("fargate-1", instance_id="", fargate=True, addresses=("10.0.0.77",))
        world.snapshot = snapshot(READ, identity=Identity("green"), others=(fargate,))
        world.survey()
        found = [usage.subnet.id for usage in world.published[-1]]
        assert found == (["subnet-a", "subnet-b"] if ours else ["subnet-a"])

    def test_are_those_tagged_for_the_cni_besides(self) -> None:
        tagged = subnet("10.0.1.0/24", id="subnet-b", tags={DISCOVERY: "1"})
        balancer = replace(BALANCER, subnet_id="subnet-b", addresses=(address("10.0.1.5"),))
        world = World((PRIMARY, balancer), (HOME, tagged))
        world.survey()
        assert world.published == [(accounted(PRIMARY), accounted(balancer, where=tagged))]
        assert world.published[0][1].roles == (Role.CNI_DISCOVERY,)

    def test_are_those_of_eniconfigs_before_an_eni_is_in_them(self) -> None:
        spare = subnet("10.0.1.0/24", id="subnet-b")
        balancer = replace(BALANCER, subnet_id="subnet-b", addresses=(address("10.0.1.5"),))
        world = World((PRIMARY, balancer), (HOME, spare))
        world.snapshot = snapshot(READ, eniconfigs={"a": "subnet-b", "b": "subnet-gone"})
        world.survey()
        facts = ClusterFacts(eniconfig_subnets=frozenset({"subnet-b"}))
        assert world.published == [
            (accounted(PRIMARY), accounted(balancer, where=spare, facts=facts))
        ]
        assert world.published[0][1].roles == (Role.POD,)
        world.refresh()
        assert world.published[1] == world.published[0]
        world.snapshot = snapshot(READ)
        world.later(PERIOD)
        world.survey()
        assert world.published[2] == (accounted(PRIMARY),)

    def test_are_not_those_that_ec2_does_not_know_any_more(self) -> None:
        gone = eni("eni-9", subnet_id="subnet-gone", instance_id="i-1", device_index=1)
        world = World((PRIMARY, gone))
        world.survey()
        assert [it.subnet.id for it in world.published[-1]] == ["subnet-a"]


class TestTheNodesThatNeverRunAwsNode:
    @pytest.mark.parametrize(
        ("other", "use"),
        [
            pytest.param(node("w", instance_id="i-7"), Use.NODE_PRIMARY, id="Windows or Auto Mode"),
            pytest.param(node("w", instance_id="i-8"), Use.OTHER, id="another instance"),
        ],
    )
    def test_own_their_instances_enis(self, other: Node, use: Use) -> None:
        theirs = eni("eni-7", instance_id="i-7", device_index=0, addresses=run_of("10.0.0.30", 1))
        world = World((PRIMARY, theirs))
        world.snapshot = snapshot(READ, others=(other,))
        world.survey()
        assert world.shown.enis is not None
        assert {owner: n for owner, n in world.shown.enis.items() if n} == (
            {Use.NODE_PRIMARY: 2} if use is Use.NODE_PRIMARY else {Use.NODE_PRIMARY: 1, use: 1}
        )

    @pytest.mark.parametrize(
        ("addresses", "fargate"),
        [
            pytest.param(("10.0.0.77",), 1, id="its address"),
            pytest.param(("fd00::7", "not an address", "10.0.0.77"), 1, id="among others"),
            pytest.param(("10.0.0.770", "", "10.0.0"), 0, id="no address at all"),
            pytest.param(("10.0.0.78",), 0, id="another address"),
            pytest.param((), 0, id="no address yet"),
            pytest.param(None, 0, id="addresses not known"),
        ],
    )
    def test_on_fargate_own_the_eni_of_their_address(
        self, addresses: tuple[str, ...] | None, fargate: int
    ) -> None:
        world = World((PRIMARY, eni("eni-7", addresses=(address("10.0.0.77"),))))
        there = node("fargate-1", instance_id="", fargate=True, addresses=addresses)
        world.snapshot = snapshot(READ, others=(there,))
        world.survey()
        assert world.shown.uses is not None
        assert (world.shown.uses[Use.FARGATE], world.shown.uses[Use.OTHER]) == (
            fargate,
            1 - fargate,
        )

    def test_do_not_tell_the_vpc(self) -> None:
        world = World()
        world.snapshot = snapshot(others=(node("windows", instance_id="i-7"),))
        world.survey()
        assert world.ec2.asked == []


def branch(id: str, instance: str, tags: Mapping[str, str] | None = None) -> Eni:
    """A pod's own ENI, of a trunk on this instance."""
    named = {"node.k8s.amazonaws.com/instance_id": instance}
    return eni(id, interface_type="branch", tags={**named, **(tags or {})})


class TestWhatIsTold:
    def test_is_nothing_before_the_first_survey(self) -> None:
        assert (World().loop.told, World().loop.facts()) == (Told(), Ec2Facts())

    def test_is_the_vpc_the_cluster_and_the_subnets_of_the_instances(self) -> None:
        enis = (
            replace(PRIMARY, tags=OURS_TAG),
            eni("eni-3", subnet_id="subnet-b", instance_id="i-1", device_index=1),
            eni("eni-4", subnet_id="subnet-b", instance_id="i-1", device_index=0, network_card=1),
            eni("eni-5", subnet_id="subnet-b", instance_id="i-2", device_index=0),
            # Services attach their ENIs to instances that they do not show.
            eni("eni-6", subnet_id="subnet-b", device_index=0, description="ELB app/web/1"),
        )
        world = World(enis)
        world.survey()
        homes = {"i-1": "subnet-a", "i-2": "subnet-b"}
        assert world.loop.told == Told("vpc-1", "green")
        # Of pods without a uid there is no drift.
        assert world.loop.facts() == Ec2Facts(
            homes=homes,
            pod_enis={},
            drifts=world.loop.facts().drifts,
            node_enis={"i-1": (NodeEni("subnet-a", singles=5, primary=True), NodeEni("subnet-b"))},
        )

    def test_are_the_limits_of_the_types_in_use_as_far_as_they_are_known(self) -> None:
        kinds = (LARGE.name, "x9.huge", "")
        outcomes = [read(target(node(f"node-{kind}", instance_type=kind))) for kind in kinds]
        world = World()
        world.snapshot = snapshot(READ, *outcomes)
        world.survey()
        assert world.loop.facts().types == {LARGE.name: LARGE}

    @pytest.mark.parametrize(
        ("known", "tags", "cluster"),
        [
            pytest.param("", OURS_TAG, "green", id="by the tag on a node's ENI"),
            pytest.param("", {}, "", id="no tag"),
            pytest.param("", {**OURS_TAG, **OTHERS_TAG}, "", id="tags that differ"),
            pytest.param("prod", OURS_TAG, "prod", id="what is known already"),
        ],
    )
    def test_of_the_cluster_is_its_name(
        self, known: str, tags: Mapping[str, str], cluster: str
    ) -> None:
        bystander = eni("eni-9", instance_id="i-9", device_index=0, tags={"eks:cluster-name": "x"})
        world = World((replace(PRIMARY, tags=tags), bystander))
        world.snapshot = snapshot(READ, identity=Identity(known))
        world.survey()
        assert world.loop.told.cluster == cluster

    def test_of_the_cluster_can_come_from_a_node_that_is_known_by_its_address_alone(self) -> None:
        placed = replace(PRIMARY, tags=OURS_TAG)
        other = eni("eni-9", instance_id="i-9", device_index=0, addresses=run_of("10.0.0.30", 1))
        world = World((placed, other))
        by_address = target(
            node("node-1", instance_id="", addresses=("10.0.0.10",)), pod(ip="10.0.0.10")
        )
        by_instance = target(node("node-9", instance_id="i-9"))
        world.snapshot = snapshot(unread(by_address), unread(by_instance))
        world.survey()
        assert world.loop.told.cluster == "green"

    def test_stays_through_failures(self) -> None:
        world = World((replace(PRIMARY, tags=OURS_TAG),))
        world.survey()
        told, facts = world.loop.told, world.loop.facts()
        world.later(PERIOD)
        world.ec2.failing["read_enis"] = "timed out"
        world.survey()
        assert world.loop.told == told == Told("vpc-1", "green")
        assert world.loop.facts() == facts
        assert facts.homes == {"i-1": "subnet-a"}

    def test_are_the_branch_enis_of_this_clusters_pods_by_instance(self) -> None:
        enis = (
            PRIMARY,
            branch("eni-3", "i-1"),
            branch("eni-4", "i-1"),
            branch("eni-5", "i-gone", OURS_TAG),
            branch("eni-6", "i-theirs", OTHERS_TAG),
            branch("eni-7", "i-whose"),
        )
        world = World(enis)
        world.snapshot = snapshot(READ, identity=Identity("green"))
        world.survey()
        assert world.loop.facts().pod_enis == {"i-1": 2, "i-gone": 1}
        world.ec2.enis = (PRIMARY, branch("eni-4", "i-1"))
        world.later(PERIOD)
        world.survey()
        assert world.loop.facts().pod_enis == {"i-1": 1}

    def test_of_enis_is_withdrawn_after_three_periods_without_a_survey(self) -> None:
        world = World((PRIMARY, branch("eni-3", "i-1")))
        world.survey()
        facts = world.loop.facts()
        world.ec2.failing = {"read_enis": "timed out", "read_subnets": "timed out"}
        world.later(3 * PERIOD)
        world.survey()
        world.refresh()
        assert world.loop.facts() == facts
        world.later(1.0)
        assert world.loop.facts() == replace(facts, pod_enis=None, drifts={}, node_enis={})
        world.ec2.failing.clear()
        world.survey()
        assert world.loop.facts() == facts


class TestHowManyMoreNodesFit:
    """In a subnet with one node of a type that EC2 knows."""

    @staticmethod
    def world() -> World:
        where = target(node("node-1", instance_id="i-1", instance_type=LARGE.name))
        world = World((PRIMARY,))
        world.snapshot = snapshot(read(where, reading(assigned=3, attached=5, enis=1)))
        return world

    def test_is_told_as_soon_as_the_limits_of_the_types_are(self) -> None:
        world = self.world()
        world.survey()
        told = [usage.node_headroom for (usage,) in world.published]
        assert told == [{}, {LARGE.name: 24}]
        world.later(PERIOD)
        world.survey()
        assert len(world.published) == 3
        assert world.shown.node_headroom == {LARGE.name: 24}

    def test_follows_what_is_free(self) -> None:
        world = self.world()
        world.survey()
        world.ec2.subnets[HOME.id] = replace(HOME, available=39)
        world.later()
        world.refresh()
        assert world.shown.node_headroom == {LARGE.name: 3}

    def test_follows_the_nodes(self) -> None:
        world = self.world()
        world.survey()
        world.snapshot = snapshot(READ)
        world.refresh()
        assert world.shown.node_headroom == {}

    def test_is_not_told_while_no_nodes_are_known(self) -> None:
        world = self.world()
        world.survey()
        world.snapshot = None
        world.refresh()
        assert world.shown.node_headroom == {}


class TestTheDriftFromEc2:
    """Of a node whose one ENI has five addresses for pods in EC2."""

    @staticmethod
    def world(attached: int) -> World:
        world = World()
        TestTheDriftFromEc2.say(world, attached)
        return world

    @staticmethod
    def say(world: World, attached: int, uid: str = "uid") -> None:
        where = target(NODE.node, pod(uid))
        world.snapshot = snapshot(read(where, reading(assigned=3, attached=attached, enis=1)))

    def test_is_not_known_before_the_first_survey(self) -> None:
        assert self.world(5).loop.facts().drifts == {}

    def test_is_what_two_surveys_agree_on(self) -> None:
        world, told = self.world(9), []
        for attached in (9, 8, 5, 4, 3):
            self.say(world, attached)
            world.survey()
            world.later(PERIOD)
            told.append(world.loop.facts().drifts)
        assert told == [{"uid": drift} for drift in (0, 3, 0, 0, -1)]

    def test_begins_anew_with_another_pod(self) -> None:
        world = self.world(9)
        world.survey()
        world.later(PERIOD)
        self.say(world, 9, "new")
        world.survey()
        assert world.loop.facts().drifts == {"new": 0}

    def test_of_a_node_that_ec2_does_not_show_is_not_known(self) -> None:
        world = self.world(9)
        world.ec2.enis = (BALANCER,)
        world.survey()
        assert world.loop.facts().drifts == {}

    def test_is_found_for_a_node_that_is_known_by_its_address_alone(self) -> None:
        world = World()
        where = target(node(instance_id="", addresses=("10.0.0.10",)), pod("uid", ip="10.0.0.10"))
        other = target(node("node-2", instance_id="i-2"))
        world.snapshot = snapshot(read(where, reading(attached=7)), unread(other))
        for _ in range(2):
            world.survey()
            world.later(PERIOD)
        assert world.loop.facts().drifts == {"uid": 2}

    def test_is_withdrawn_after_three_periods_without_a_survey(self) -> None:
        world = self.world(9)
        world.survey()
        world.later(PERIOD)
        world.survey()
        world.ec2.failing["read_enis"] = "timed out"
        world.later(3 * PERIOD)
        world.survey()
        assert world.loop.facts().drifts == {"uid": 4}
        world.later(1.0)
        assert world.loop.facts().drifts == {}


def test_what_books_say_is_in_cooldown_is_so_in_the_subnets() -> None:
    world = World()
    said = books(held("eni-1", attached=5, assigned=2, cooldown=1))
    world.snapshot = snapshot(read(NODE, reading(introspection=said)))
    world.survey()
    uses = world.shown.uses
    assert uses is not None
    assert [uses[use] for use in (Use.POD_ASSIGNED, Use.POD_WARM, Use.POD_COOLDOWN)] == [2, 2, 1]


def surveys(world: World, beats: int, every: float = BEAT) -> list[bool]:
    """On which of some beats there was a survey; time passes in between."""
    found = []
    for _ in range(beats):
        begun = world.stopwatch.now
        world.survey()
        found.append("read_enis" in world.ec2.calls)
        world.later(begun + every - world.stopwatch.now)
    return found


class TestTheCadence:
    @pytest.mark.parametrize(
        ("every", "wanted"),
        [
            pytest.param(60.0, [True, False, False, True, False, False, True], id="on time"),
            pytest.param(59.7, [True, False, False, True, False, False, True], id="a moment early"),
            pytest.param(60.2, [True, False, False, True, False, False, True], id="a moment late"),
            pytest.param(59.0, [True, False, False, False, True, False, False], id="too early"),
            pytest.param(180.0, [True] * 7, id="a beat each"),
            pytest.param(400.0, [True] * 7, id="slower than the period"),
        ],
    )
    def test_is_a_survey_a_period(self, every: float, wanted: list[bool]) -> None:
        assert surveys(World(), 7, every) == wanted

    def test_is_kept_however_long_a_survey_takes(self) -> None:
        world = World()
        world.ec2.seconds = {"read_enis": 50.0, "read_subnets": 5.0}
        assert surveys(world, 7) == [True, False, False, True, False, False, True]

    @pytest.mark.parametrize("call", ["find_vpcs", "read_enis", "read_subnets"])
    def test_is_a_survey_on_every_beat_while_one_fails(self, call: str) -> None:
        world = World()
        world.ec2.failing[call] = "timed out"
        for _ in range(3):
            world.survey()
            assert call in world.ec2.calls
            world.later()
        assert world.published == []
        world.ec2.failing.clear()
        assert surveys(world, 4) == [True, False, False, True]
        assert len(world.published) == 2

    @pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
    def test_does_not_heed_a_clock_that_is_set(self, step: float) -> None:
        world = World()
        world.survey()
        world.clock.now += step
        world.refresh()
        assert world.published == [(WHOLE,), (WHOLE,)]
        world.ec2.asked.clear()
        world.later()
        assert surveys(world, 4) == [False, False, True, False]


class TestARefresh:
    def test_is_nothing_before_the_first_survey(self) -> None:
        world = World()
        world.refresh()
        assert (world.ec2.asked, world.published, world.notes) == ([], [], [])

    def test_tells_what_is_free_now_beside_what_the_enis_told_last(self) -> None:
        world = World()
        world.survey()
        world.later()
        world.ec2.asked.clear()
        now = replace(HOME, available=200, name="renamed")
        world.ec2.subnets["subnet-a"] = now
        world.refresh()
        assert world.ec2.asked == [("read_subnets", ("subnet-a",), ("vpc-1",))]
        assert world.shown == replace(
            WHOLE, subnet=now, free=200, utilization=accounted(where=now).utilization
        )

    def test_tells_of_a_new_subnet_what_ec2_says_of_it_and_nothing_of_one_that_is_gone(
        self,
    ) -> None:
        tagged = subnet("10.0.1.0/24", id="subnet-b", tags={DISCOVERY: "1"}, available=99)
        world = World()
        world.survey()
        world.ec2.subnets = {"subnet-b": tagged}
        world.refresh()
        assert world.published[-1] == (
            SubnetUsage(
                subnet=tagged,
                size=256,
                free=99,
                utilization=1 - 99 / 251,
                roles=(Role.CNI_DISCOVERY,),
            ),
        )

    def test_keeps_what_the_enis_told_for_three_periods(self) -> None:
        world = World()
        world.survey()
        world.ec2.failing["read_enis"] = "timed out"
        world.ec2.subnets["subnet-a"] = now = replace(HOME, available=200)
        utilization = accounted(where=now).utilization
        bare = SubnetUsage(subnet=now, size=256, free=200, utilization=utilization, roles=())
        kept = replace(WHOLE, subnet=now, free=200, utilization=utilization)
        seen = []
        for beat in range(1, 12):
            world.later()
            world.survey()
            world.refresh()
            seen.append((beat * BEAT, world.shown))
        assert seen == [(at, kept if at <= 3 * PERIOD else bare) for at, _ in seen]
        assert seen[-1] == (660.0, bare)
        world.ec2.failing.clear()
        world.survey()
        assert world.shown == accounted(PRIMARY, BALANCER, where=now)

    def test_counts_the_three_periods_from_the_last_survey_that_succeeded(self) -> None:
        world = World()
        for _ in range(3):
            world.survey()
            world.later(PERIOD)
        world.later(2 * PERIOD)
        world.refresh()
        assert world.shown == WHOLE
        world.later(1.0)
        world.refresh()
        assert world.shown.uses is None

    def test_that_fails_publishes_nothing_and_leaves_the_next_to_recover(self) -> None:
        world = World()
        world.survey()
        world.ec2.failing["read_subnets"] = "timed out"
        world.later()
        world.refresh()
        assert len(world.published) == 1
        world.ec2.failing.clear()
        world.later()
        world.refresh()
        assert world.published == [(WHOLE,), (WHOLE,)]

    def test_keeps_what_prefix_reservations_were_found_to_hold(self) -> None:
        reserved = (Reservation("10.0.0.128/25", "prefix"),)
        where = subnet(available=118, reservations=reserved)
        world = World((PRIMARY,), (where,))
        world.survey()
        world.later()
        world.refresh()
        first, second = (usages[0] for usages in world.published)
        assert first == second
        assert first.utilization == 1 - (118 + 127) / 251


def state(*, up: bool, at: float | None, seconds: float, reason: str = "") -> SourceHealth:
    return SourceHealth(up=up, last_success=at, cycle_seconds=seconds, reason=reason)


class TestTheSources:
    def test_are_noted_with_when_they_succeeded_and_how_long_that_took(self) -> None:
        world = World()
        world.ec2.seconds = {"find_vpcs": 1.0, "read_enis": 7.5, "read_subnets": 0.25}
        world.survey()
        assert world.notes == [
            (Source.EC2_ENIS, state(up=True, at=NOW, seconds=8.5)),
            (Source.EC2_SUBNETS, state(up=True, at=NOW, seconds=0.25)),
        ]
        world.notes.clear()
        world.later()
        world.refresh()
        assert world.notes == [(Source.EC2_SUBNETS, state(up=True, at=NOW + 60, seconds=0.25))]

    def test_are_noted_with_why_they_failed(self) -> None:
        world = World()
        world.ec2.seconds = {"read_enis": 120.0, "read_subnets": 3.0}
        world.ec2.failing["read_enis"] = "took too long"
        world.survey()
        assert world.notes == [
            (
                Source.EC2_ENIS,
                state(up=False, at=None, seconds=120.0, reason="took too long"),
            )
        ]
        world.notes.clear()
        world.ec2.failing = {"read_subnets": "DescribeSubnets is not allowed"}
        world.survey()
        assert world.notes == [
            (Source.EC2_ENIS, state(up=True, at=NOW, seconds=120.0)),
            (
                Source.EC2_SUBNETS,
                state(up=False, at=None, seconds=3.0, reason="DescribeSubnets is not allowed"),
            ),
        ]

    @pytest.mark.parametrize(
        ("shot", "failing", "reason", "calls"),
        [
            pytest.param(
                snapshot(),
                {},
                "no node tells its instance id, so its VPC is not known",
                [],
                id="no nodes",
            ),
            pytest.param(
                snapshot(unread(target(node(instance_id="")))),
                {},
                "no node tells its instance id, so its VPC is not known",
                [],
                id="no instance ids",
            ),
            pytest.param(
                snapshot(READ),
                {},
                "none of the nodes' instances has an ENI in this region",
                ["find_vpcs"],
                id="no VPC found",
            ),
            pytest.param(
                snapshot(READ),
                {"find_vpcs": "no credentials"},
                "no credentials",
                ["find_vpcs"],
                id="not allowed to look for it",
            ),
        ],
    )
    def test_are_down_until_the_vpc_is_known(
        self, shot: Snapshot, failing: dict[str, str], reason: str, calls: list[object]
    ) -> None:
        world = World()
        world.snapshot, world.ec2.vpcs, world.ec2.failing = shot, (), dict(failing)
        world.survey()
        world.refresh()
        assert world.ec2.calls == calls
        assert world.noted == [f"ec2_enis: {reason}"]
        assert (world.published, world.loop.told) == ([], Told())

        world.snapshot, world.ec2.vpcs = snapshot(READ), ("vpc-1",)
        world.ec2.failing.clear()
        world.later()
        world.survey()
        assert world.ec2.calls == ["find_vpcs", "read_enis", "read_subnets"]
        assert world.noted == ["ec2_enis: up", "ec2_subnets: up"]
        assert world.published == [(WHOLE,)]

    def test_recover_on_the_next_beat(self) -> None:
        world = World()
        world.ec2.failing = {"read_enis": "timed out", "read_subnets": "timed out"}
        for failing in ({"read_subnets": "timed out"}, {}):
            world.survey()
            world.refresh()
            world.later()
            world.ec2.failing = failing
        world.survey()
        world.refresh()
        assert world.noted == [
            "ec2_enis: timed out",
            "ec2_enis: up",
            "ec2_subnets: timed out",
            "ec2_enis: up",
            "ec2_subnets: up",
            "ec2_subnets: up",
        ]
