"""The EC2, the ENIs and the rules that the tests of the pool's steps have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from exporter.core.pool import (
    Address,
    AssignPrivateIpAddresses,
    AttachNetworkInterface,
    Cidr,
    CreateNetworkInterface,
    Eni,
    Granted,
    Limits,
    ModifyNetworkInterfaceAttribute,
    Pool,
    Refused,
    Request,
    Rules,
    Settings,
    Tally,
    first,
    step,
)

T = TypeVar("T")

NO_ADDRESS = "InsufficientFreeAddressesInSubnet"
NO_PREFIX = "InsufficientCidrBlocks"
ENI_FULL = "PrivateIpAddressLimitExceeded"
THROTTLED = "RequestLimitExceeded"

LIMITS = Limits(enis=3, ipv4_per_eni=4, max_pods=100)
DEFAULT = Settings()
CUSTOM = Settings(custom_networking=True)
NO_DISCOVERY = Settings(subnet_discovery=False)
WARM_2 = Settings(warm_ip=2)
PREFIXES = Settings(warm_prefix=1, prefix_delegation=True)


class ScriptedEc2:
    """Grants all, but for the answers it was told to give first, per operation in turn."""

    def __init__(self, **answers: Sequence[Granted | Refused]) -> None:
        self.requests: list[Request] = []
        self._answers = {operation: list(given) for operation, given in answers.items()}

    def __call__(self, request: Request) -> Granted | Refused:
        self.requests.append(request)
        told = self._answers.get(type(request).__name__)
        if told:
            return told.pop(0)
        match request:
            case AssignPrivateIpAddresses(count=count, size=size):
                return Granted(cidrs=granted(count, size))
            case CreateNetworkInterface(count=count, size=size):
                return Granted(cidrs=granted(count, size), eni="eni-new", subnet="subnet-a")
            case AttachNetworkInterface():
                return Granted(device=7)
            case _:
                return Granted()


def granted(count: int, size: int = 1) -> tuple[int, ...]:
    return tuple(1600 + size * number for number in range(count))


def refusing(operation: str, *errors: str) -> ScriptedEc2:
    return ScriptedEc2(**{operation: [Refused(error) for error in errors]})


def last(options: Sequence[T], /) -> T:
    return options[-1]


def rules(settings: Settings = DEFAULT, limits: Limits = LIMITS) -> Rules:
    return Rules.of(settings, limits)


def free(*bases: int, size: int = 1) -> tuple[Cidr, ...]:
    return tuple(Cidr(base, size) for base in bases)


def taken(*bases: int, size: int = 1) -> tuple[Cidr, ...]:
    return tuple(Cidr(base, size, (Address(base, f"pod-{base}", 0),)) for base in bases)


def cooling(base: int, since: float) -> Cidr:
    return Cidr(base, 1, (Address(base, None, 0, unassigned_at=since),))


PRIMARY = Eni("eni-0", primary=True)
FULL = replace(PRIMARY, cidrs=taken(1, 2, 3))
TRUNK = Eni("eni-t", trunk=True)
OTHER = Eni("eni-1", cidrs=taken(4, 5, 6))
THIRD = Eni("eni-2", cidrs=taken(7, 8, 9))
NEW_ENI = Eni("eni-new", "subnet-a", device=7, created_at=1000, cidrs=free(*granted(3)))
CREATION = (
    CreateNetworkInterface(3, 1),
    AttachNetworkInterface("eni-new"),
    ModifyNetworkInterfaceAttribute("eni-new"),
)


def looked_at(pool: Pool, ec2: ScriptedEc2, settings: Settings = DEFAULT) -> Pool:
    return step(pool, rules(settings), now=1000, ec2=ec2, choose=first)


def without_tally(pool: Pool) -> Pool:
    return replace(pool, tally=Tally())


def idle(cidrs: tuple[Cidr, ...] = free(7, 8, 9), created_at: float = 0) -> Eni:
    return Eni("eni-9", cidrs=cidrs, created_at=created_at)
