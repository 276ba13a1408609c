"""The truth of subnets: the samples that an ideal reader of EC2's answers would publish.

What each address is used for is found out in `ec2_uses`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from exporter.sim.books import Samples
from exporter.sim.ec2_leaks import Abandoned
from exporter.sim.ec2_told import Room
from exporter.sim.ec2_uses import PODS, Block, Insight, Page, Use
from exporter.sim.vpc import Vpc

Row = tuple[str, dict[str, str], float]
_NOBODYS = frozenset(
    {
        Use.FREE,
        Use.PREFIX_RESERVED_FREE,
        Use.EXPLICIT_RESERVED,
        Use.AWS_RESERVED,
        Use.UNATTRIBUTED,
    }
)
# What an ENI as a whole can be: the use of its first address.
_OWNERS = tuple(use for use in Use if use not in _NOBODYS | PODS or use is Use.POD_BRANCH)


def pages(vpc: Vpc, insight: Insight) -> list[Page]:
    """Return the pages of all subnets that the cluster has to do with."""
    every = (Page(vpc, subnet, insight) for subnet in vpc.subnets.values())
    return [page for page in every if any(page.roles())]


def samples(pages: Iterable[Page]) -> Samples:
    """Return all samples of these subnets."""
    found: Samples = defaultdict(list)
    for page in pages:
        subnet = page.subnet
        for name, labels, value in (*_size(page), *_details(page)):
            found[f"vpc_cni_{name}"].append(({"subnet_id": subnet.id, **labels}, value))
        for role in page.roles():
            found["vpc_cni_subnet_role"].append(({"subnet_id": subnet.id, "role": role}, 1))
    return dict(found)


def rooms(pages: Iterable[Page]) -> Mapping[str, Room]:
    """Return what is left of each of these subnets."""
    return {page.subnet.id: _room(page) for page in pages}


def _room(page: Page) -> Room:
    blocks = Counter(page.blocks().values())
    return Room(
        zone=page.subnet.zone,
        tags=page.subnet.tags,
        free=page.counts[Use.FREE],
        for_prefixes=page.counts[Use.PREFIX_RESERVED_FREE],
        blocks=blocks[Block.FREE] + blocks[Block.FREE_RESERVED],
    )


def _size(page: Page) -> Iterator[Row]:
    """Tell what needs no ENI to be known."""
    subnet, counts = page.subnet, page.counts
    info = {
        "name": subnet.name,
        "vpc_id": page.vpc.id,
        "zone": subnet.zone,
        "zone_id": subnet.zone_id,
        "cidr": str(subnet.cidr),
    }
    usable = subnet.cidr.num_addresses - counts[Use.AWS_RESERVED]
    left = counts[Use.FREE] + counts[Use.PREFIX_RESERVED_FREE]
    yield "subnet_info", info, 1
    yield "subnet_size", {}, subnet.cidr.num_addresses
    yield "subnet_free_ip_addresses", {}, counts[Use.FREE]
    yield "subnet_utilization_ratio", {}, 1 - left / usable


def _details(page: Page) -> Iterator[Row]:
    """Tell what is known from the ENIs."""
    for use in Use:
        yield "subnet_ip_addresses", {"use": use}, page.counts[use]
    residue = page.counts[Use.UNATTRIBUTED]
    yield "subnet_accounting_residue_ip_addresses", {}, residue
    blocks = page.blocks()
    states = Counter(blocks.values())
    for state in Block:
        yield "subnet_prefix_blocks", {"state": state}, states[state]
    if (ratio := _fragmentation(page, blocks)) is not None:
        yield "subnet_fragmentation_ratio", {}, ratio
    owned = Counter(map(page.owner, page.enis))
    for owner in _OWNERS:
        yield "subnet_enis", {"owner": owner}, owned[owner]
    leaked = [eni for eni in page.enis if page.owner(eni) is Use.LEAKED]
    owners = Counter(map(page.abandoned, leaked))
    for abandoned in Abandoned:
        yield "leaked_enis", {"owner": abandoned}, owners[abandoned]


def _fragmentation(page: Page, blocks: Mapping[int, Block]) -> float | None:
    """Return the share of free addresses that lie in no free /28, both ends left out.

    A block that is kept free for prefixes is a free one.
    """
    inner = list(blocks.items())[1:-1]
    free = {first: page.free(first) for first, _ in inner}
    if not (total := sum(free.values())):
        return None
    whole = (Block.FREE, Block.FREE_RESERVED)
    return sum(free[first] for first, state in inner if state not in whole) / total
