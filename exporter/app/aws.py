"""What reads AWS and what publishes there, by the settings; each while its door is open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

from exporter.aws import Account, AwsConfig
from exporter.board import Board
from exporter.cloudwatch_loop import CloudWatchLoop
from exporter.core.forecast import Forecaster, Pace
from exporter.core.health import Source
from exporter.core.model import ControlPlane, Ec2Facts, Snapshot, Unavailable
from exporter.core.points import Minutes
from exporter.core.subnets import rooms
from exporter.cycle import every
from exporter.eks_loop import EksLoop
from exporter.inputs.ec2 import Ec2
from exporter.inputs.eks import Eks
from exporter.outputs.cloudwatch import CloudWatch, CloudWatchConfig
from exporter.settings import Settings
from exporter.subnet_loop import SubnetLoop, Told, Usages


@dataclass(frozen=True, slots=True)
class Aws:
    """The loops that read AWS, None where a source is switched off."""

    subnets: SubnetLoop | None = None
    eks: EksLoop | None = None

    def told(self) -> Told:
        """Return what EC2 told of the cluster, with the VPC that EKS told where EC2 did not."""
        told = Told() if self.subnets is None else self.subnets.told
        given = ControlPlane() if self.eks is None else self.eks.control_plane
        return replace(told, vpc_id=told.vpc_id or given.vpc_id)

    def facts(self, board: Board) -> Ec2Facts:
        """Return what EC2 told of the nodes, and of the subnets while the board shows them."""
        facts = Ec2Facts() if self.subnets is None else self.subnets.facts()
        return replace(facts, rooms=rooms(board.accounts))

    @property
    def surveying(self) -> bool:
        """Whether thousands of ENIs are held just now, which will soon be gone."""
        return self.subnets is not None and self.subnets.surveying

    def work(self, settings: Settings, begun: asyncio.Event) -> list[Coroutine[None, None, None]]:
        """Return what never ends, and begins when there is a snapshot of the nodes."""
        work = []
        if self.subnets is not None:
            often = min(settings.ec2_subnets_interval, settings.ec2_enis_interval)
            work.append(after(begun, self.subnets.survey_if_due, often))
            work.append(after(begun, self.subnets.refresh, settings.ec2_subnets_interval))
        if self.eks is not None:
            work.append(after(begun, self.eks.read_if_due, self.eks.beat))
        return work


def aws_account(latest: Callable[[], Snapshot | None]) -> Account:
    """Return as whom and where AWS is asked: in the nodes' region, where nothing else names one."""

    def region() -> str:
        # The doors ask on their own threads, where nothing may be discovered anew.
        snapshot = latest()
        return snapshot.discovery.identity.region if snapshot else ""

    return Account(AwsConfig(region=region))


@asynccontextmanager
async def aws_loops(
    settings: Settings,
    account: Account,
    latest: Callable[[], Snapshot | None],
    board: Board,
    cloudwatch: CloudWatchLoop | None = None,
) -> AsyncIterator[Aws]:
    """The loops that read AWS, while their doors are open."""

    def given() -> ControlPlane:
        return ControlPlane() if eks is None else eks.control_plane

    eks: EksLoop | None = None
    subnets: SubnetLoop | None = None
    async with AsyncExitStack() as doors:
        if "eks" in settings.sources:
            asked = Eks(account)
            doors.push_async_callback(asked.close)
            eks = EksLoop(
                asked,
                latest,
                board.eks.put,
                lambda state: board.note_aws(Source.EKS, state, asked.requests),
                time.time,
                settings.eks_interval,
            )
        if "ec2" in settings.sources:
            reader = Ec2(account)
            doors.push_async_callback(reader.close)
            subnets = _subnet_loop(settings, reader, latest, board, given)
            if cloudwatch is not None and settings.cloudwatch_subnets:
                subnets.publish = _published(board, cloudwatch, subnets)
        yield Aws(subnets, eks)


def _subnet_loop(
    settings: Settings,
    reader: Ec2,
    latest: Callable[[], Snapshot | None],
    board: Board,
    given: Callable[[], ControlPlane],
) -> SubnetLoop:
    return SubnetLoop(
        reader,
        latest,
        board.subnets.put,
        lambda source, state: board.note_aws(source, state, reader.requests),
        time.time,
        settings.ec2_enis_interval,
        control_plane=given,
        forecaster=Forecaster(Pace(settings.forecast_min_history, settings.ec2_subnets_interval)),
    )


def _published(
    board: Board, cloudwatch: CloudWatchLoop, subnets: SubnetLoop
) -> Callable[[Usages], Awaitable[None]]:
    """Show the subnets' accounts and have CloudWatch told of them."""
    surveyed: float | None = None

    async def publish(usages: Usages) -> None:
        nonlocal surveyed
        await board.subnets.put(usages)
        cloudwatch.take_subnets(usages, surveyed=subnets.surveyed != surveyed)
        surveyed = subnets.surveyed

    return publish


@asynccontextmanager
async def cloudwatch_loop(
    settings: Settings, account: Account, latest: Callable[[], Snapshot | None], board: Board
) -> AsyncIterator[CloudWatchLoop | None]:
    """What publishes to CloudWatch, None where it is switched off; at its end it sends the rest."""
    if not settings.cloudwatch:
        yield None
        return

    def cluster() -> str:
        snapshot = latest()
        return snapshot.discovery.identity.cluster if snapshot else ""

    door = CloudWatch(
        account,
        CloudWatchConfig(
            namespace=settings.cloudwatch_namespace, period=settings.cloudwatch_interval
        ),
    )
    loop = CloudWatchLoop(
        door,
        cluster,
        lambda state: board.note_cloudwatch(state, door.requests, loop.outcomes),
        time.time,
        Minutes(settings.cloudwatch_interval),
    )
    yield loop
    await loop.flush(settings.cloudwatch_grace)
    with suppress(Unavailable):
        await door.close()


async def after(begun: asyncio.Event, work: Callable[[], Awaitable[None]], interval: float) -> None:
    """Work on every beat, once there is something to work on."""
    await begun.wait()
    await every(interval, work, clock=time.monotonic)
