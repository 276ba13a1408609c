"""What the pool asks of EC2, what EC2 answers, and how often it was asked.

Requests are named as EC2's operations, which is how they are counted. Who answers them, a
simulated subnet or one that never runs out, is the caller's business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SUBNET_FULL = frozenset({"InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks"})
ENI_FULL = "PrivateIpAddressLimitExceeded"


@dataclass(frozen=True, slots=True)
class AssignPrivateIpAddresses:
    """Give an ENI `count` CIDRs of `size` addresses, all or none; grants their first addresses."""

    eni: str
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class UnassignPrivateIpAddresses:
    """Take from an ENI the CIDRs of `size` addresses that begin at `cidrs`."""

    eni: str
    cidrs: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class DescribeNetworkInterfaces:
    """Say which CIDRs of `size` addresses an ENI really holds; grants their first addresses."""

    eni: str
    size: int


@dataclass(frozen=True, slots=True)
class CreateNetworkInterface:
    """Make an ENI with `count` CIDRs of `size` addresses, or none; grants its id, subnet, CIDRs."""

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class AttachNetworkInterface:
    """Attach an ENI to the node; grants its device number."""

    eni: str


@dataclass(frozen=True, slots=True)
class ModifyNetworkInterfaceAttribute:
    """Have an ENI deleted with its instance."""

    eni: str


@dataclass(frozen=True, slots=True)
class DetachNetworkInterface:
    """Detach an ENI from the node."""

    eni: str


@dataclass(frozen=True, slots=True)
class DeleteNetworkInterface:
    """Delete a detached ENI."""

    eni: str


Request = (
    AssignPrivateIpAddresses
    | UnassignPrivateIpAddresses
    | DescribeNetworkInterfaces
    | CreateNetworkInterface
    | AttachNetworkInterface
    | ModifyNetworkInterfaceAttribute
    | DetachNetworkInterface
    | DeleteNetworkInterface
)


@dataclass(frozen=True, slots=True)
class Granted:
    """EC2 did it; a request's own words say which of these it fills in."""

    cidrs: tuple[int, ...] = ()
    eni: str = ""
    subnet: str = ""
    device: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """EC2 did nothing, and this is its error code."""

    error: str


Ec2 = Callable[[Request], Granted | Refused]


@dataclass(frozen=True, slots=True)
class Tally:
    """Calls per EC2 operation, refusals per operation and error code, ipamd's errors by `fn`."""

    calls: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[tuple[str, str], int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)


class CountedEc2:
    """Passes requests on to EC2 and counts them, for the length of one step."""

    def __init__(self, ec2: Ec2, before: Tally) -> None:
        self._ec2 = ec2
        self._before = before
        self._calls: list[str] = []
        self._refusals: list[tuple[str, str]] = []
        self._errors: list[str] = []

    def __call__(self, request: Request) -> Granted | Refused:
        operation = type(request).__name__
        answer = self._ec2(request)
        self._calls.append(operation)
        if isinstance(answer, Refused):
            self._refusals.append((operation, answer.error))
        return answer

    def failed(self, function: str) -> None:
        """Note an error as ipamd's `awscni_ipamd_error_count` names it."""
        self._errors.append(function)

    def tally(self) -> Tally:
        """The tally with this step's calls; the very one from before where there were none."""
        before = self._before
        if not self._calls:
            return before
        return Tally(
            calls=Counter(before.calls) + Counter(self._calls),
            refusals=Counter(before.refusals) + Counter(self._refusals),
            errors=Counter(before.errors) + Counter(self._errors),
        )
