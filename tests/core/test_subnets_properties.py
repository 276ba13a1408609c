"""What holds of every subnet, whoever is in it and whatever EC2 counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.owners import ENI_OWNERS, LeakOwner, Use
from exporter.core.prefixes import BlockState
from exporter.core.subnets import Memory, SubnetUsage, accounts
from tests.builders import NOW
from tests.core.subnet_worlds import FOREIGN, Made, World, worlds


def own(made: Made) -> list[int]:
    """All addresses of an ENI, the primary one first."""
    in_prefixes = [base + k for base in made.eni.prefixes for k in range(16)]
    return [*made.eni.addresses, *in_prefixes]


class Oracle:
    """What is true of one subnet of a world, address by address.

    It goes by what each ENI was made as: it reads none of the marks that the product reads, and
    shares no code with it.
    """

    def __init__(self, world: World, n: int) -> None:
        self.world = world
        self.subnet = world.subnets[n]
        self.made = world.enis[self.subnet.id]
        self.all = list(IPv4Network(self.subnet.cidr))
        self.aws = {int(ip) for ip in (*self.all[:4], self.all[-1])}

    def holder(self, ip: int) -> tuple[Made, int] | None:
        """The last ENI in the listing that has the address, and which of its addresses it is."""
        claims = self.claims(ip)
        return (claims[-1], own(claims[-1]).index(ip)) if claims else None

    def claims(self, ip: int) -> list[Made]:
        return [made for made in self.made if ip in own(made)]

    def reserved(self, ip: int, kind: str) -> bool:
        return any(
            it.kind == kind and IPv4Address(ip) in IPv4Network(it.cidr)
            for it in self.subnet.reservations or ()
        )

    def use(self, ip: int) -> str:
        """What an address is used for, where free means that nobody is seen to have it."""
        if ip in self.aws:
            return "aws_reserved"
        held = self.holder(ip)
        if held is not None:
            return self._held(*held)
        if self.reserved(ip, "explicit"):
            return "explicit_reserved"
        return "prefix_reserved_free" if self.reserved(ip, "prefix") else "free"

    def _held(self, made: Made, position: int) -> str:
        if made.kind in FOREIGN:
            return FOREIGN[made.kind][0]
        if made.kind == "unmanaged":
            return "node_unmanaged"
        if made.kind == "branch":
            return "pod_branch"
        if position == 0:
            return "node_primary"
        assigned = self._assigned(made)
        if assigned is None:
            return "pod_unknown"
        return "pod_assigned" if position <= assigned else "pod_warm"

    def _assigned(self, made: Made) -> int | None:
        how = self.world.nodes[made.node]
        if how not in ("by_eni", "by_total"):
            return None
        if made.kind == "flying":
            return 0
        mine = self.world.on_node(made.node)
        if how == "by_eni":
            return self.world.pods[made.eni.id]
        with_pods = {it.eni.subnet_id for it in mine if self._room(it)}
        if len(with_pods) > 1:
            return None
        # Which of the ENIs have the pods does not matter, since all of them are in this subnet.
        total = sum(self.world.pods[it.eni.id] for it in mine)
        before = sum(self._room(it) for it in mine[: mine.index(made)])
        return max(total - before, 0)

    @staticmethod
    def _room(made: Made) -> int:
        return len(made.eni.addresses) - 1 + 16 * len(made.eni.prefixes)

    def uses(self) -> dict[str, int]:
        """All uses but 0s, after EC2's own count was heard."""
        seen = Counter(self.use(int(ip)) for ip in self.all)
        kept = seen["explicit_reserved"] + seen["prefix_reserved_free"]
        used = len(self.all) - 5 - seen["free"] - kept
        available = self.subnet.available
        gap = len(self.all) - 5 - used - available
        inside = gap < kept <= available
        self.residue = gap if inside else gap - kept
        seen["unattributed"] = max(self.residue, 0)
        seen["free"] = 0
        seen["free"] = len(self.all) - sum(seen.values())
        self.without_explicit = seen["free"] + seen["prefix_reserved_free"] - min(self.residue, 0)
        return {use: count for use, count in seen.items() if count}

    def blocks(self, gone: str = "") -> list[str]:
        """The states of the blocks, with or without what a node has."""
        return [
            self._block([int(ip) for ip in self.all[i : i + 16]], gone)
            for i in range(0, len(self.all), 16)
        ]

    def _block(self, block: list[int], gone: str) -> str:
        if any(block[0] in made.eni.prefixes for made in self.made):
            return "delegated"
        if any(self.reserved(ip, "explicit") for ip in block):
            return "reserved"
        used = sum(self._taken(ip, gone) for ip in block)
        if used:
            return "full" if used == 16 else "fragmented"
        held = any(self.reserved(ip, "prefix") for ip in block)
        return "free_reserved" if held else "free"

    def _taken(self, ip: int, gone: str) -> bool:
        if ip in self.aws:
            return True
        return any(not gone or self._node(made) != gone for made in self.claims(ip))

    def _node(self, made: Made) -> str:
        listed = made.node >= 0 and self.world.nodes[made.node] != "unlisted"
        return f"node-{made.node}" if listed else ""

    def fragmentation(self) -> float | None:
        states = self.blocks()
        free = [
            states[k // 16] in ("free", "free_reserved")
            for k, ip in enumerate(self.all)
            if 0 < k // 16 < len(states) - 1
            and self.use(int(ip)) in ("free", "prefix_reserved_free")
        ]
        return free.count(False) / len(free) if free else None

    def drains(self) -> dict[str, int]:
        """By node, the blocks that would be free without it."""
        now = self.blocks()
        freed = {
            name: sum(
                was not in ("free", "free_reserved") and then in ("free", "free_reserved")
                for was, then in zip(now, self.blocks(name), strict=True)
            )
            for name in {self._node(made) for made in self.made} - {""}
        }
        return {name: blocks for name, blocks in freed.items() if blocks}

    def owners(self) -> dict[str, int]:
        known = {"unmanaged": "node_unmanaged", "branch": "pod_branch"}
        counted = Counter(
            FOREIGN[it.kind][0] if it.kind in FOREIGN else known.get(it.kind, "node_primary")
            for it in self.made
        )
        return dict(counted)


def accounted(world: World) -> tuple[SubnetUsage, ...]:
    return accounts(world.memory(), world.survey(), NOW)[1]


@settings(max_examples=250)
@given(worlds())
def test_the_uses_are_what_each_address_is_used_for_and_add_up_to_the_size(world: World) -> None:
    for n, usage in enumerate(accounted(world)):
        oracle = Oracle(world, n)
        expected = oracle.uses()
        assert usage.uses == {use: expected.get(use, 0) for use in Use}
        assert sum(usage.uses.values()) == usage.size == len(oracle.all)
        assert min(usage.uses.values()) >= 0
        assert usage.residue == oracle.residue


@settings(max_examples=150)
@given(worlds())
def test_the_blocks_are_what_their_addresses_make_them(world: World) -> None:
    for n, usage in enumerate(accounted(world)):
        oracle = Oracle(world, n)
        states = oracle.blocks()
        assert usage.blocks == {state: states.count(state) for state in BlockState}
        assert sum(usage.blocks.values()) == usage.size // 16
        assert usage.fragmentation == oracle.fragmentation()


@settings(max_examples=100)
@given(worlds())
def test_the_nodes_to_drain_are_those_without_which_blocks_would_be_free(world: World) -> None:
    for n, usage in enumerate(accounted(world)):
        assert usage.drains is not None
        assert {it.node: it.blocks for it in usage.drains} == Oracle(world, n).drains()
        assert list(usage.drains) == sorted(usage.drains, key=lambda it: (-it.blocks, it.node))


@settings(max_examples=150)
@given(worlds())
def test_enis_are_counted_once_and_leaks_the_same_everywhere(world: World) -> None:
    for n, usage in enumerate(accounted(world)):
        oracle = Oracle(world, n)
        expected = oracle.owners()
        kinds = [made.kind for made in oracle.made]
        assert usage.enis == {use: expected.get(use, 0) for use in ENI_OWNERS}
        assert usage.leaked == {
            LeakOwner.THIS_CLUSTER: kinds.count("leaked"),
            LeakOwner.UNKNOWN: kinds.count("stray"),
        }
        assert sum(usage.leaked.values()) == usage.enis[Use.LEAKED]


@settings(max_examples=150)
@given(worlds())
def test_utilization_is_what_neither_nodes_nor_prefixes_could_have(world: World) -> None:
    for n, usage in enumerate(accounted(world)):
        oracle = Oracle(world, n)
        oracle.uses()
        usable = usage.size - 5
        assert usage.utilization == 1 - min(oracle.without_explicit, usable) / usable
        assert usage.free == oracle.subnet.available


@settings(max_examples=100)
@given(worlds(), st.data())
def test_what_does_not_need_the_enis_outlives_them(world: World, data: st.DataObject) -> None:
    survey = world.survey()
    memory, before = accounts(world.memory(), survey, NOW)
    lost = data.draw(st.sets(st.sampled_from([it.id for it in survey.subnets])))
    without = replace(survey, enis={id: it for id, it in survey.enis.items() if id not in lost})
    again, after = accounts(memory, without, NOW)
    assert again == memory
    for was, now in zip(before, after, strict=True):
        assert (now.size, now.free, now.utilization) == (was.size, was.free, was.utilization)
        assert (now.uses is None) == (was.subnet.id in lost)


@settings(max_examples=150)
@given(worlds(), st.booleans())
def test_enis_that_nobody_shows_are_unattributed_and_not_free(world: World, apart: bool) -> None:
    """With nothing moved between the listings, and nobody hidden in a reservation."""
    for n, was in enumerate(world.subnets):
        oracle = Oracle(world, n)
        uses = {int(ip): oracle.use(int(ip)) for ip in oracle.all}
        free = [ip for ip, use in uses.items() if use == "free"]
        kept = sum(use in ("prefix_reserved_free", "explicit_reserved") for use in uses.values())
        # As many hidden as reserved, and the count could be either of two stories.
        most = len(free) if apart else min(len(free), max(kept - 1, 0))
        hidden = most // 2
        counted = len(free) - hidden + (0 if apart else kept)
        world.subnets[n] = replace(was, available=counted)
        usage = accounted(world)[n]
        assert usage.uses is not None
        assert usage.uses[Use.UNATTRIBUTED] == hidden
        assert usage.uses[Use.FREE] == len(free) - hidden


@settings(max_examples=100)
@given(worlds(), st.integers(1, 5))
def test_addresses_freed_since_the_listing_are_a_negative_residue(world: World, freed: int) -> None:
    """Where no address is reserved, or EC2 was seen to count the reserved ones apart."""
    for n, was in enumerate(world.subnets):
        uses = [Oracle(world, n).use(int(ip)) for ip in Oracle(world, n).all]
        kept = sum(use in ("prefix_reserved_free", "explicit_reserved") for use in uses)
        world.subnets[n] = replace(was, available=uses.count("free"))
        memory, _ = accounts(Memory(), world.survey(), NOW)
        # more than that, and the reserved addresses are the better explanation
        freed = min(freed, kept // 2) if kept else freed
        world.subnets[n] = replace(was, available=uses.count("free") + freed)
        usage = accounts(memory, world.survey(), NOW)[1][n]
        assert usage.residue == -freed
        assert usage.uses is not None
        assert usage.uses[Use.FREE] == uses.count("free")
        assert usage.uses[Use.UNATTRIBUTED] == 0
