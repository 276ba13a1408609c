"""The door itself: ENIs, subnets and instance types, read beside the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from exporter.aws import Account, Requests, Threads, UnderWay
from exporter.core.model import Eni, InstanceType, Subnet, Unavailable
from exporter.inputs.ec2.calls import Calls
from exporter.inputs.ec2.enis import OPERATION as _ENIS
from exporter.inputs.ec2.enis import EniPage
from exporter.inputs.ec2.instance_types import OPERATION as _TYPES
from exporter.inputs.ec2.instance_types import instance_types, types_on_file
from exporter.inputs.ec2.operations import SYSTEM
from exporter.inputs.ec2.subnets import Subnets

T = TypeVar("T")

# A few nodes tell the VPC as well as all of them do.
_SAMPLE = 20
_CLOSE_SECONDS = 2.0


class Ec2:
    """Reads EC2; every method raises `Unavailable` alone, and the next call starts afresh."""

    def __init__(
        self,
        account: Account,
        *,
        page_seconds: float = 120.0,
        reservation_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read as an account; a page, repeated requests included, has a time limit.

        Reservations of subnets are kept for some seconds.
        """
        self._page_seconds = page_seconds
        self._threads = Threads(SYSTEM)
        self._calls = Calls(account)
        self._subnets = Subnets(self._calls, clock, keep_seconds=reservation_seconds)
        self._types: dict[str, InstanceType | None] = {}

    @property
    def requests(self) -> Requests:
        """How many requests there were, by service, operation and outcome."""
        return self._calls.requests()

    async def close(self) -> None:
        """Close idle connections; calls under way are left to end by themselves."""
        await self._threads.run(lambda _: self._calls.close(), seconds=_CLOSE_SECONDS)

    async def find_vpcs(self, instance_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the VPCs that these instances have ENIs in, by a few of them."""
        some = tuple(instance_ids)[:_SAMPLE]
        pages = await self._run(
            lambda under_way: list(self._eni_pages("attachment.instance-id", some, under_way))
        )
        return tuple(sorted({vpc for page in pages for vpc in page.vpc_ids if vpc}))

    async def read_enis(
        self, *, vpc_ids: Sequence[str] = (), subnet_ids: Sequence[str] = ()
    ) -> tuple[Eni, ...]:
        """Return all ENIs of these VPCs and of these subnets, each once, hidden ones too."""
        return await self._run(lambda under_way: self._read_enis(vpc_ids, subnet_ids, under_way))

    async def read_subnets(
        self, ids: Iterable[str], vpc_ids: Iterable[str] = ()
    ) -> tuple[Subnet, ...]:
        """Return these subnets, and those of the VPCs that are tagged for the CNI.

        Where no VPC is given, it is that of the subnets. Those that EC2 does not know are left out.
        """
        wanted, vpcs = sorted(set(ids)), sorted(set(vpc_ids))
        return await self._run(lambda under_way: self._subnets.read(wanted, vpcs, under_way))

    async def read_instance_types(self, names: Iterable[str]) -> Mapping[str, InstanceType]:
        """Return the limits of those types that EC2, or else the file, knows.

        What EC2 has answered is not asked again; as long as it does not answer, the file does.
        """
        wanted = sorted(set(names))
        new = [name for name in wanted if name not in self._types]
        if new:
            try:
                answered = await self._run(lambda under_way: self._read_types(new, under_way))
            except Unavailable:
                pass
            else:
                self._types.update({name: answered.get(name) for name in new})
        found = {name: self._types.get(name) or types_on_file().get(name) for name in wanted}
        return {name: it for name, it in found.items() if it is not None}

    async def _run(self, call: Callable[[UnderWay], T]) -> T:
        return await self._threads.run(call, seconds=self._page_seconds)

    def _read_enis(
        self, vpc_ids: Sequence[str], subnet_ids: Sequence[str], under_way: UnderWay
    ) -> tuple[Eni, ...]:
        found: dict[str, Eni] = {}
        for name, values in (("vpc-id", vpc_ids), ("subnet-id", subnet_ids)):
            for page in self._eni_pages(name, values, under_way):
                found.update((eni.id, eni) for eni in page.enis)
        return tuple(found.values())

    def _eni_pages(
        self, name: str, values: Sequence[str], under_way: UnderWay
    ) -> Iterator[EniPage]:
        # Services may hide their ENIs from lists, and these hold addresses as others do.
        pages = self._calls.filtered(under_way, _ENIS, name, values, IncludeManagedResources=True)
        return (page["Page"] for page in pages)

    def _read_types(self, names: Sequence[str], under_way: UnderWay) -> dict[str, InstanceType]:
        pages = self._calls.filtered(under_way, _TYPES, "instance-type", names)
        return {it.name: it for page in pages for it in instance_types(page)}
