"""What ipamd's books say beyond its metrics page, as frozen values: which ENI holds what.

They are kept for every node from cycle to cycle, so there is one small value per ENI and none per
address. Times are Unix seconds; an empty string means "not known".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamdEni:
    """An ENI in ipamd's books, its addresses counted from the CIDRs it holds (reference 2.2).

    `device` is its index on the network card, None where it is not told; `excluded` says that its
    subnet gives pods no address any more; a /80 in `attached` is 2^48, in `prefixes` nothing.
    """

    id: str
    card: int = 0
    device: int | None = None
    primary: bool = False
    trunk: bool = False
    efa: bool = False
    excluded: bool = False
    subnet_id: str = ""
    attached: int = 0
    assigned: int = 0
    cooldown: int = 0
    prefixes: int = 0

    @property
    def warm(self) -> int:
        """Addresses neither assigned nor in cooldown."""
        return self.attached - self.assigned - self.cooldown


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """What ipamd's books said at `time`: its ENIs on all managed network cards.

    `eniconfig` is the ENIConfig that ipamd chose, where it was asked; `carried` says that the
    books are of an earlier cycle than the reading they go with.
    """

    time: float
    enis: tuple[IpamdEni, ...]
    eniconfig: str = ""
    carried: bool = False
