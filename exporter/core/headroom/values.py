"""What decides how many more pods and nodes fit, as plain figures, and the answer for pods."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from exporter.core.pool import Rules


class Limit(StrEnum):
    """What stops the next pod; where several things do, it is the first of these.

    `eni`: its ENIs hold all that the type and the CNI's settings ever let them hold. `prefix`: the
    subnet has addresses, but not in whole /28 blocks.
    """

    MAX_PODS = "max_pods"
    ENI = "eni"
    SUBNET = "subnet"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """What nobody has of a subnet: the `addresses` outside of reservations, with the whole /28
    `blocks` among them, and beside them the whole blocks that `prefix` reservations keep."""

    addresses: int
    blocks: int = 0
    reserved_blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRoom:
    """What a node's pool has, and by what it can still grow.

    `pods` are those that max-pods lets on besides; `warm` counts addresses that pods can have now
    or once they have cooled down, `cidrs` and `unused` what ipamd decides by (`pool.Stock`).
    `slots` are free places for CIDRs on ENIs that give pods addresses, by the ENI's subnet; `enis`
    can be attached besides, each in one of `subnets`. Where nobody knows which CIDRs pods use, the
    fewest that can be `unused` make the answer one that surely holds.
    """

    rules: Rules
    pods: int
    warm: int
    cidrs: int
    unused: int = 0
    slots: tuple[tuple[str, int], ...] = ()
    enis: int = 0
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Headroom:
    """How many more pods fit, and what stops the next."""

    pods: int
    limit: Limit
