"""The truth of subnets: every use by hand, and sums over whole living worlds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from exporter.sim import Options, Simulation, books
from exporter.sim.ec2_leaks import Abandoned, abandoned
from exporter.sim.ec2_uses import Block, Insight, Page, Use
from exporter.sim.faults import Fault
from exporter.sim.subnet_books import pages, samples
from exporter.sim.vpc import Eni, Subnet
from tests.sim.client import on_loop
from tests.sim.ec2_parts import NOW, STAMP, World, instance_id, reserve

_INSTANCE = "node.k8s.amazonaws.com/instance_id"
_CREATED = "node.k8s.amazonaws.com/createdAt"
_CLUSTER = "cluster.k8s.amazonaws.com/name"
_ADDRESS = 0x0A010000  # 10.1.0.0
KNOWN = Insight("sim", now=NOW, since=NOW, nodes={})
OURS = frozenset({instance_id()})


def counted(page: Page) -> dict[str, int]:
    """Return the uses that there are, and how many addresses have each."""
    return {use.value: count for use, count in page.counts.items()}


def page(world: World, subnet: Subnet, insight: Insight = KNOWN) -> Page:
    return Page(world.vpc, subnet, insight)


def published(world: World, insight: Insight = KNOWN) -> Mapping[str, Mapping[Any, float]]:
    """Return the samples by name and by their last label."""
    found: defaultdict[str, dict[Any, float]] = defaultdict(dict)
    for name, rows in samples(pages(world.vpc, insight)).items():
        for labels, value in rows:
            found[name][tuple(labels.values())[1:]] = value
    return found


def leak(world: World, subnet: Subnet, **tags: str) -> Eni:
    """Leave an ENI behind, whose tags' keys are those of the CNI."""
    keys = {"instance": _INSTANCE, "created": _CREATED, "cluster": _CLUSTER}
    named = {keys[key]: value for key, value in tags.items()}
    return world.eni(subnet, description="aws-K8S-i-1", tags=named, secondary=2)


def test_every_address_of_an_empty_subnet_is_free_but_awss_five() -> None:
    world = World()
    empty = page(world, world.subnet("10.1.0.0/28"))
    reserved = [address - _ADDRESS for address, use in empty.uses.items() if use != "free"]
    assert reserved == [0, 1, 2, 3, 15]
    assert counted(empty) == {"free": 11, "aws_reserved": 5}


def test_a_node_that_was_read_has_its_own_address_and_those_of_its_pods_by_state() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    eni = world.node(subnet, primary=_ADDRESS + 9)
    first, second, third = world.vpc.assign(eni.id, 3)
    uses = {first: Use.POD_ASSIGNED, second: Use.POD_WARM}
    read = page(world, subnet, replace(KNOWN, nodes={instance_id(): uses}))
    assert {address: read.uses[address] for address in (eni.primary, first, second, third)} == {
        eni.primary: "node_primary",
        first: "pod_assigned",
        second: "pod_warm",
        # EC2 has given it, and ipamd does not know of it: no pod can have it.
        third: "pod_warm",
    }


def test_a_delegated_prefix_counts_address_by_address() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    eni = world.node(subnet, primary=_ADDRESS + 9)
    (first,) = world.vpc.assign(eni.id, 1, size=16)
    uses = {first + 3: Use.POD_ASSIGNED} | {first + n: Use.POD_COOLDOWN for n in range(3)}
    read = page(world, subnet, replace(KNOWN, nodes={instance_id(): uses}))
    assert counted(read) == {
        "free": 256 - 5 - 17,
        "aws_reserved": 5,
        "node_primary": 1,
        "pod_assigned": 1,
        "pod_cooldown": 3,
        "pod_warm": 12,
    }


def test_the_pod_addresses_of_a_node_that_was_not_read_are_unknown() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    eni = world.node(subnet, primary=_ADDRESS + 9)
    world.vpc.assign(eni.id, 4)
    unread = page(world, subnet, replace(KNOWN, nodes={instance_id(): None}))
    assert (unread.counts[Use.NODE_PRIMARY], unread.counts[Use.POD_UNKNOWN]) == (1, 4)


def test_an_instance_that_kubernetes_does_not_know_is_the_clusters_by_its_tag() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    ours = world.node(subnet, 1, tags={_CLUSTER: "sim"})
    theirs = world.node(subnet, 2, tags={_CLUSTER: "other"}, use="other_cluster")
    found = page(world, subnet)
    assert [found.owner(eni) for eni in (ours, theirs)] == ["node_primary", "other_cluster"]


@pytest.mark.parametrize(
    ("more", "device", "use"),
    [
        pytest.param({"tags": {"node.k8s.amazonaws.com/no_manage": "true"}}, 1, "node_unmanaged"),
        pytest.param({"tags": {"node.k8s.amazonaws.com/no_manage": "no"}}, 1, "node_primary"),
        pytest.param({"tags": {"node.k8s.amazonaws.com/no_manage": "1"}}, 1, "node_primary"),
        pytest.param({"tags": {"node.k8s.amazonaws.com/no_manage": "true"}}, 0, "node_primary"),
        pytest.param({"interface_type": "efa-only"}, 1, "node_unmanaged"),
        pytest.param({"interface_type": "trunk"}, 1, "node_primary"),
    ],
)
def test_a_nodes_eni_is_managed_unless_it_is_told_not_to_be(
    more: dict[str, Any], device: int, use: str
) -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    if device:
        world.node(subnet)
        eni = world.eni(subnet, **more)
        world.vpc.attach(eni.id, instance_id())
    else:
        eni = world.node(subnet, **more)
    found = page(world, subnet, replace(KNOWN, nodes={instance_id(): None}))
    assert found.owner(eni) == use


@pytest.mark.parametrize(
    ("tags", "card", "known", "use"),
    [
        pytest.param({}, 0, {"strict": OURS}, "node_unmanaged", id="untagged"),
        pytest.param(
            {_INSTANCE: instance_id()},
            0,
            {"strict": OURS},
            "node_primary",
            id="tagged",
        ),
        pytest.param({}, 1, {"set_up": OURS}, "node_unmanaged", id="second card"),
        pytest.param({}, 1, {"set_up": OURS, "all_cards": OURS}, "node_primary", id="all cards"),
        pytest.param({}, 1, {}, "node_unmanaged", id="second card, settings not told"),
        pytest.param({_CREATED: "any"}, 1, {}, "node_primary", id="not told, but the CNI's own"),
    ],
)
def test_the_cnis_settings_decide_which_other_enis_are_managed(
    tags: dict[str, str], card: int, known: dict[str, Any], use: str
) -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    world.node(subnet)
    eni = world.eni(subnet, tags=tags)
    world.vpc.attach(eni.id, instance_id(), card=card)
    insight = replace(KNOWN, nodes={instance_id(): None}, **known)
    assert page(world, subnet, insight).owner(eni) == use


def test_a_branch_eni_is_a_pods() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    branch = world.eni(subnet, interface_type="branch")
    world.vpc.hand_over(branch.id, "111122223333")
    assert page(world, subnet).owner(branch) == "pod_branch"


@pytest.mark.parametrize("use", ["load_balancer", "lambda", "fargate", "database", "other"])
def test_what_others_have_is_called_what_it_is(use: str) -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    eni = world.eni(subnet, use=use, secondary=1)
    world.vpc.hand_over(eni.id, "amazon-aws")
    assert page(world, subnet).counts[Use(use)] == 2


def test_what_nobody_can_name_is_other() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    eni = world.eni(subnet)
    world.vpc.hand_over(eni.id, "amazon-aws")
    assert page(world, subnet).owner(eni) == "other"


@pytest.mark.parametrize(
    ("age", "use"),
    [
        pytest.param(600, "node_primary", id="on its way"),
        pytest.param(601, "leaked", id="left behind"),
    ],
)
def test_an_eni_left_behind_is_leaked_after_ten_minutes(age: float, use: str) -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    eni = leak(world, subnet, instance="i-1", created=STAMP, cluster="sim")
    found = page(world, subnet, replace(KNOWN, now=NOW + age))
    assert found.owner(eni) == use
    others = {use: 3} if use == "leaked" else {"node_primary": 1, "pod_unknown": 2}
    assert counted(found) == {"free": 248, "aws_reserved": 5, **others}


def test_an_eni_on_its_way_to_a_node_that_was_read_has_given_nothing_to_pods() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    leak(world, subnet, instance="i-1", created=STAMP, cluster="sim")
    found = page(world, subnet, replace(KNOWN, nodes={"i-1": {}}))
    assert counted(found) == {
        "free": 248,
        "aws_reserved": 5,
        "node_primary": 1,
        "pod_warm": 2,
    }


@pytest.mark.parametrize(
    ("since", "use"),
    [
        pytest.param(NOW - 5000, "leaked", id="there when it was made"),
        pytest.param(NOW + 100, "node_primary", id="came later"),
    ],
)
def test_an_eni_that_does_not_tell_its_age_is_as_old_as_its_first_sight(
    since: float, use: str
) -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    eni = leak(world, subnet, instance="i-1", cluster="sim", created="yesterday")
    assert page(world, subnet, replace(KNOWN, now=NOW + 650, since=since)).owner(eni) == use


@pytest.mark.parametrize(
    ("tags", "owner"),
    [
        pytest.param({"instance": "i-1", "cluster": "sim"}, "this_cluster", id="tagged"),
        pytest.param({"instance": instance_id()}, "this_cluster", id="of an instance of ours"),
        pytest.param({"instance": "i-1"}, "unknown", id="of any instance"),
        pytest.param({"instance": "i-1", "cluster": "other"}, None, id="another cluster's"),
        pytest.param({"cluster": "sim"}, None, id="without instance"),
    ],
)
def test_whose_an_eni_left_behind_is(tags: dict[str, str], owner: str | None) -> None:
    world = World()
    eni = leak(world, world.subnet("10.1.0.0/24"), **tags)
    assert abandoned(eni, cluster="sim", instances={instance_id()}) == owner


def test_what_the_controller_left_behind_is_known_by_its_tags_alone() -> None:
    tags = {"eks:eni:owner": "eks-vpc-resource-controller", "kubernetes.io/cluster/sim": "owned"}
    world = World()
    eni = world.eni(world.subnet("10.1.0.0/24"), interface_type="branch", tags=tags)
    assert abandoned(eni, cluster="sim", instances=()) is Abandoned.THIS_CLUSTER
    world.vpc.hand_over(eni.id, "111122223333")
    assert abandoned(eni, cluster="sim", instances=()) is None


def test_reserved_addresses_have_their_own_uses_until_somebody_holds_them() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    reserve(subnet, "10.1.0.64/27")
    reserve(subnet, "10.1.0.128/28", "explicit")
    eni = world.node(subnet, primary=_ADDRESS + 128)
    world.vpc.assign(eni.id, 1, size=16)
    assert counted(page(world, subnet, replace(KNOWN, nodes={instance_id(): None}))) == {
        "free": 256 - 5 - 48,
        "aws_reserved": 5,
        "node_primary": 1,
        "pod_unknown": 16,
        "prefix_reserved_free": 16,
        "explicit_reserved": 15,
    }


def test_the_addresses_of_hidden_enis_are_unattributed_and_are_no_place_in_particular() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/26")
    reserve(subnet, "10.1.0.32/28")
    world.eni(subnet, "10.1.0.20", owner="999900001111")
    world.eni(subnet, "10.1.0.33", owner="999900001111")
    world.node(subnet, primary=_ADDRESS + 5)
    found = page(world, subnet, replace(KNOWN, nodes={instance_id(): None}))
    assert counted(found) == {
        "free": 64 - 5 - 16 - 1 - 1,
        "aws_reserved": 5,
        "node_primary": 1,
        "prefix_reserved_free": 16,
        "unattributed": 1,
    }
    states = [state.value for state in found.blocks().values()]
    assert states == ["fragmented", "free", "free_reserved", "fragmented"]


def test_the_blocks_of_a_subnet_are_told_by_state() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    reserve(subnet, "10.1.0.32/27")
    reserve(subnet, "10.1.0.64/28", "explicit")
    reserve(subnet, "10.1.0.80/29", "explicit")
    eni = world.node(subnet, primary=_ADDRESS + 101)
    world.vpc.assign(eni.id, 1, size=16)
    for place in range(16):
        world.eni(subnet, f"10.1.0.{112 + place}")
    blocks = page(world, subnet).blocks()
    named = {first - _ADDRESS: state for first, state in blocks.items()}
    delegated = eni.prefixes[0] - _ADDRESS
    kept = ({32, 48} - {delegated}).pop()
    assert named == {
        **dict.fromkeys(range(0, 256, 16), Block.FREE),
        0: "fragmented",
        delegated: "delegated",
        kept: "free_reserved",
        64: "reserved",
        80: "fragmented",
        96: "fragmented",
        112: "full",
        240: "fragmented",
    }


@pytest.mark.parametrize(
    ("held", "ratio"),
    [
        pytest.param([], 0.0, id="nothing held"),
        pytest.param(["10.1.0.20"], 15 / 31, id="one block broken"),
        pytest.param(["10.1.0.20", "10.1.0.40"], 1.0, id="every block broken"),
        pytest.param(["10.1.0.5", "10.1.0.60"], 0.0, id="both ends do not count"),
        pytest.param([f"10.1.0.{place}" for place in range(16, 48)], None, id="nothing is free"),
    ],
)
def test_fragmentation_is_the_share_of_free_addresses_outside_of_free_blocks(
    held: list[str], ratio: float | None
) -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/26", tags={"kubernetes.io/role/cni": "1"})
    for address in held:
        world.eni(subnet, address)
    assert published(world)["vpc_cni_subnet_fragmentation_ratio"].get(()) == ratio


def test_what_needs_no_eni_is_told_with_the_subnets_own_facts() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24", name="pods-a", tags={"kubernetes.io/role/cni": "1"})
    reserve(subnet, "10.1.0.32/27")
    world.eni(subnet, "10.1.0.9")
    found = published(world)
    facts = ("pods-a", world.vpc.id, "eu-central-1a", "euc1-az2", "10.1.0.0/24")
    assert found["vpc_cni_subnet_info"] == {facts: 1}
    assert found["vpc_cni_subnet_size"] == {(): 256}
    assert found["vpc_cni_subnet_free_ip_addresses"] == {(): 251 - 1 - 32}
    assert found["vpc_cni_subnet_utilization_ratio"] == {(): 1 - 250 / 251}


def test_all_uses_states_and_owners_are_told_at_zero() -> None:
    world = World()
    world.subnet("10.1.0.0/24", tags={"kubernetes.io/role/cni": "1"})
    found = published(world)
    assert found["vpc_cni_subnet_ip_addresses"] == {
        **{(use.value,): 0 for use in Use},
        ("free",): 251,
        ("aws_reserved",): 5,
    }
    assert len(Use) == 22
    assert found["vpc_cni_subnet_prefix_blocks"] == {
        **{(state.value,): 0 for state in Block},
        ("free",): 14,
        ("fragmented",): 2,
    }
    assert found["vpc_cni_subnet_accounting_residue_ip_addresses"] == {(): 0}
    assert found["vpc_cni_leaked_enis"] == {("this_cluster",): 0, ("unknown",): 0}
    nobodys = {"free", "prefix_reserved_free", "explicit_reserved", "aws_reserved", "unattributed"}
    never_first = {"pod_assigned", "pod_warm", "pod_cooldown", "pod_unknown"}
    owners = {use.value for use in Use} - nobodys - never_first
    assert found["vpc_cni_subnet_enis"] == {(owner,): 0 for owner in owners}


@pytest.mark.parametrize(
    ("tags", "roles"),
    [
        pytest.param({"kubernetes.io/role/cni": "1"}, ["cni_discovery"], id="discovered"),
        pytest.param({"kubernetes.io/role/cni": "0"}, ["excluded"], id="excluded"),
        pytest.param({"kubernetes.io/role/cni": ""}, [], id="empty"),
        pytest.param({"kubernetes.io/role/elb": "1"}, [], id="nothing of ours"),
        pytest.param(
            {"kubernetes.io/role/cni": "1", "cni.networking.k8s.aws/cluster/other": "1"},
            [],
            id="for another cluster",
        ),
        pytest.param(
            {"kubernetes.io/role/cni": "1", "cni.networking.k8s.aws/cluster/sim": ""},
            ["cni_discovery"],
            id="for this cluster",
        ),
    ],
)
def test_a_subnets_tags_give_it_a_role(tags: dict[str, str], roles: list[str]) -> None:
    world = World()
    world.subnet("10.1.0.0/24", tags=tags)
    assert [role for (role,) in published(world)["vpc_cni_subnet_role"]] == roles


def test_a_subnet_has_the_roles_of_the_enis_in_it_and_without_any_is_not_told_of() -> None:
    world = World()
    home, pods, plane, config, foreign = (
        world.subnet(f"10.{number}.0.0/24", number) for number in range(1, 6)
    )
    world.node(home)
    second = world.eni(pods, secondary=1)
    world.vpc.attach(second.id, instance_id())
    for subnet, use in ((plane, "eks_control_plane"), (foreign, "database")):
        world.vpc.hand_over(world.eni(subnet, use=use).id, "amazon-aws")
    insight = replace(KNOWN, nodes={instance_id(): None}, eni_config_subnets=frozenset({config.id}))
    rows = samples(pages(world.vpc, insight))["vpc_cni_subnet_role"]
    assert [(labels["subnet_id"], labels["role"]) for labels, _ in rows] == [
        (home.id, "node"),
        (pods.id, "pod"),
        (plane.id, "control_plane"),
        (config.id, "pod"),
    ]


def test_leaks_are_told_by_owner_and_enis_by_use() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    world.node(subnet)
    for tags in ({"cluster": "sim"}, {"cluster": "sim"}, {}):
        leak(world, subnet, instance="i-1", created=STAMP, **tags)
    found = published(world, replace(KNOWN, now=NOW + 1000, nodes={instance_id(): None}))
    assert found["vpc_cni_leaked_enis"] == {("this_cluster",): 2, ("unknown",): 1}
    enis = {owner: count for owner, count in found["vpc_cni_subnet_enis"].items() if count}
    assert enis == {("node_primary",): 1, ("leaked",): 3}


def told(simulation: Simulation) -> books.Samples:
    """Return the truth of subnets as a reader that has come would know it."""
    assert simulation.ec2 is not None
    simulation.ec2.api.first_told = simulation.clock()
    return simulation.ec2.truth()


def by_subnet(found: books.Samples, name: str) -> dict[str, Counter[str]]:
    """Return a family's counts by subnet and by the last label."""
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for labels, value in found[name]:
        sums[labels["subnet_id"]][list(labels.values())[-1]] = int(value)
    return sums


@pytest.mark.parametrize(("seed", "scenario"), [(1, "normal"), (2, "exhaustion"), (3, "day")])
@on_loop
async def test_the_books_of_living_worlds_add_up_at_every_step(seed: int, scenario: str) -> None:
    async with Simulation.living(9, Options(seed=seed, startup=0.0), scenario=scenario) as sim:
        for _ in range(3):
            found = told(sim)
            sizes = {labels["subnet_id"]: value for labels, value in found["vpc_cni_subnet_size"]}
            uses = by_subnet(found, "vpc_cni_subnet_ip_addresses")
            blocks = by_subnet(found, "vpc_cni_subnet_prefix_blocks")
            vpc = sim.vpc
            assert vpc is not None
            assert {subnet: each.total() for subnet, each in uses.items()} == sizes
            assert {subnet: 16 * each.total() for subnet, each in blocks.items()} == sizes
            assert {subnet: each["free"] for subnet, each in uses.items()} == {
                subnet.id: subnet.available for subnet in vpc.subnets.values()
            }
            await sim.step(5)


@on_loop
async def test_what_pods_have_is_what_the_pages_say_and_unread_nodes_are_unknown() -> None:
    async with Simulation.living(9, Options(startup=0.0)) as sim:
        unread = sim.cluster.expected[4]
        await sim.set_fault([unread.name], Fault.HANG)
        totals: Counter[str] = sum(
            by_subnet(told(sim), "vpc_cni_subnet_ip_addresses").values(), Counter()
        )
        judged = books.entries(sim.cluster, sim.ledger)
        gauges = [entry.gauges for entry in judged if entry.gauges is not None]
        assert len(gauges) == 8
        vpc = sim.vpc
        assert vpc is not None
        held = [vpc.enis[eni] for eni in vpc.instances[unread.instance_id].attached.values()]
        assert totals["pod_assigned"] == sum(each.assigned for each in gauges)
        assert totals["pod_warm"] == sum(each.total - each.assigned for each in gauges)
        assert totals["pod_unknown"] == sum(eni.subnet_addresses - 1 for eni in held)


@on_loop
async def test_a_seed_gives_the_same_truth_again_and_another_one_another() -> None:
    found = []
    for seed in (5, 5, 6):
        async with Simulation.living(
            6, Options(seed=seed, startup=0.0), scenario="exhaustion"
        ) as sim:
            await sim.step(3)
            found.append(told(sim))
    assert found[0] == found[1]
    assert found[0] != found[2]


@on_loop
async def test_a_shared_subnet_has_a_residue_as_large_as_what_is_hidden_in_it() -> None:
    async with Simulation.living(6, Options(startup=0.0)) as sim:
        vpc = sim.vpc
        assert vpc is not None
        hidden = Counter(eni.subnet for eni in vpc.enis.values() if eni.owner != vpc.account)
        residues = {
            labels["subnet_id"]: value
            for labels, value in told(sim)["vpc_cni_subnet_accounting_residue_ip_addresses"]
        }
        assert residues == {subnet: hidden[subnet] for subnet in vpc.subnets}
        assert hidden.total() > 0
