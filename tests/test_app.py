from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import ClientSession, web
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from exporter.app import Aws, Identified, run, selection, split_address
from exporter.core.health import AWS_OPERATIONS, AWS_OUTCOMES
from exporter.core.model import ControlPlane, Discovery, Identity
from exporter.inputs.kube.reviews import WHETHER, WHO
from exporter.outputs.prometheus import Format, NodeMetrics, Selection, Sheet
from exporter.settings import load
from exporter.subnet_loop import Told
from tests.builders import target
from tests.inputs.fake_kube import FakeKube, fake_kube
from tests.inputs.kube_parts import kubeconfig


@dataclass(frozen=True)
class Found:
    """A discoverer that knows one thing."""

    found: Discovery | None

    def discover(self) -> Discovery | None:
        return self.found


KNOWN = Identity("from-the-pods", "eu-west-1", "vpc-1", "1.33")


class TestTheIdentity:
    @pytest.mark.parametrize(
        ("cluster", "region", "wanted"),
        [
            pytest.param("", "", KNOWN, id="as discovered"),
            pytest.param(
                "prod", "", Identity("prod", "eu-west-1", "vpc-1", "1.33"), id="the name set"
            ),
            pytest.param(
                "",
                "us-east-1",
                Identity("from-the-pods", "us-east-1", "vpc-1", "1.33"),
                id="the region set",
            ),
        ],
    )
    def test_is_what_the_settings_say_and_else_what_is_discovered(
        self, cluster: str, region: str, wanted: Identity
    ) -> None:
        found = Discovery((target(),), nodes_known=True, identity=KNOWN)
        assert Identified(Found(found), cluster, region).discover() == Discovery(
            (target(),), nodes_known=True, identity=wanted
        )

    @pytest.mark.parametrize(
        ("cluster", "known", "wanted"),
        [
            pytest.param(
                "", Identity(), Identity(cluster="by-tag", vpc_id="vpc-9"), id="what EC2 tells"
            ),
            pytest.param(
                "", Identity("from-the-pods"), Identity("from-the-pods", "", "vpc-9"), id="the pods"
            ),
            pytest.param(
                "prod", Identity("from-the-pods"), Identity("prod", "", "vpc-9"), id="the name set"
            ),
            pytest.param("", KNOWN, KNOWN, id="all is known already"),
        ],
    )
    def test_is_completed_by_what_ec2_tells(
        self, cluster: str, known: Identity, wanted: Identity
    ) -> None:
        found = Discovery((target(),), nodes_known=True, identity=known)
        told = Told("vpc-9", "by-tag")
        identified = Identified(Found(found), cluster, "", lambda: told)
        assert identified.discover() == Discovery((target(),), nodes_known=True, identity=wanted)

    @pytest.mark.parametrize(
        ("by_ec2", "by_eks", "vpc"),
        [
            pytest.param("vpc-1", "vpc-9", "vpc-1", id="EC2 knows it"),
            pytest.param("", "vpc-9", "vpc-9", id="EKS alone does"),
            pytest.param("vpc-1", None, "vpc-1", id="EKS is switched off"),
            pytest.param(None, "vpc-9", "vpc-9", id="EC2 is switched off"),
            pytest.param(None, None, "", id="both are switched off"),
        ],
    )
    def test_has_the_vpc_that_aws_tells(
        self, by_ec2: str | None, by_eks: str | None, vpc: str
    ) -> None:
        subnets = None if by_ec2 is None else SimpleNamespace(told=Told(by_ec2, "by-tag"))
        plane = ControlPlane(by_eks or "")
        eks = None if by_eks is None else SimpleNamespace(control_plane=plane)
        told = Aws(subnets, eks).told()  # type: ignore[arg-type]
        assert told == Told(vpc, "" if by_ec2 is None else "by-tag")

    def test_follows_what_is_told_later(self) -> None:
        told = [Told()]
        found = Discovery((), nodes_known=True)
        identified = Identified(Found(found), "", "", lambda: told[-1])
        assert identified.discover() is found
        told.append(Told("vpc-9", "by-tag"))
        assert identified.discover() == Discovery((), True, Identity("by-tag", "", "vpc-9"))

    def test_that_is_known_leaves_the_discovery_as_it_is(self) -> None:
        found = Discovery((target(),), nodes_known=True, identity=KNOWN)
        assert Identified(Found(found), "from-the-pods", "eu-west-1").discover() is found

    def test_waits_for_the_discovery(self) -> None:
        assert Identified(Found(None), "prod", "eu-west-1").discover() is None


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        pytest.param(":61681", None, 61681, id="all addresses"),
        pytest.param("127.0.0.1:0", "127.0.0.1", 0, id="IPv4"),
        pytest.param("[::1]:61681", "::1", 61681, id="IPv6"),
        pytest.param("localhost:80", "localhost", 80, id="a name"),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, host: str | None, port: int) -> None:
    assert split_address(address) == (host, port)


def test_the_settings_say_which_metrics_are_published() -> None:
    flags = {
        "metrics_allow": "a*,b",
        "metrics_deny": "c",
        "node_metrics": "problems",
        "legacy_metrics": "yes",
    }
    assert selection(load(flags, {}).settings) == Selection(
        allow=("a*", "b"), deny=("c",), nodes=NodeMetrics.PROBLEMS, legacy=True
    )
    assert selection(load({}, {}).settings) == Selection()


def test_a_port_that_is_taken_ends_the_run_with_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = load({"listen_address": address}, {}).settings
        with pytest.raises(OSError, match="address already in use"):
            asyncio.run(run(settings, asyncio.Event()))


@pytest.fixture
def _garbage_as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


class Listening(logging.Handler):
    """Learns from the log where the exporter listens."""

    def __init__(self) -> None:
        super().__init__()
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "listening":
            self.url.set_result(f"http://{vars(record)['host']}:{vars(record)['port']}")


@asynccontextmanager
async def running(kubeconfig: str, **flags: str) -> AsyncIterator[str]:
    """Run the exporter for a while; give its address."""
    given = {"listen_address": "127.0.0.1:0", "kubeconfig": kubeconfig, **flags}
    stop, listening, log = asyncio.Event(), Listening(), logging.getLogger("exporter.app")
    log.addHandler(listening)
    try:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(run(load(given, {}).settings, stop))
            yield await listening.url
            stop.set()
    finally:
        log.removeHandler(listening)


async def scraped(url: str) -> list[Sample]:
    async with ClientSession() as session, session.get(f"{url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
        return [sample for family in families for sample in family.samples]


def by_source(samples: Iterable[Sample], name: str) -> dict[str, float]:
    return {
        it.labels["source"]: it.value for it in samples if it.name == f"vpc_cni_exporter_{name}"
    }


REQUESTS = {(*it, outcome) for it in AWS_OPERATIONS for outcome in AWS_OUTCOMES}
BASIC = {"ipamd", "kubernetes", "nodes", "daemonsets", "pods", "eniconfigs", "cninodes"}


@pytest.mark.usefixtures("_garbage_as_it_was")
@pytest.mark.parametrize(
    ("flags", "told", "services"),
    [
        pytest.param(
            {"sources": "ipamd,ec2"}, {*BASIC, "ec2_enis", "ec2_subnets"}, {"ec2"}, id="EC2 on"
        ),
        pytest.param({"sources": "eks"}, {*BASIC, "eks"}, {"eks"}, id="EKS on"),
        pytest.param(
            {"sources": "ipamd,ec2,eks"},
            {*BASIC, "ec2_enis", "ec2_subnets", "eks"},
            {"ec2", "eks"},
            id="all on",
        ),
        pytest.param({"sources": "ipamd"}, BASIC, set(), id="AWS off"),
        pytest.param(
            {"sources": "ipamd", "cloudwatch": "yes"},
            {*BASIC, "cloudwatch"},
            {"cloudwatch"},
            id="CloudWatch on",
        ),
    ],
)
def test_only_the_sources_that_are_on_are_told(
    flags: dict[str, str],
    told: set[str],
    services: set[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="exporter.app")

    async def scenario() -> list[Sample]:
        async with running(str(tmp_path / "no kubeconfig"), **flags) as url:
            return await scraped(url)

    samples = asyncio.run(scenario())
    assert by_source(samples, "source_up") == dict.fromkeys(told, 0)
    asked = {
        (it.labels["service"], it.labels["operation"], it.labels["outcome"]): it.value
        for it in samples
        if it.name == "vpc_cni_exporter_aws_requests_total"
    }
    operations = [it for it in AWS_OPERATIONS if it[0] in services]
    assert asked == {(*it, outcome): 0 for it in operations for outcome in AWS_OUTCOMES}
    points = [it for it in samples if it.name == "vpc_cni_exporter_cloudwatch_points_total"]
    assert bool(points) is ("cloudwatch" in told)


@pytest.mark.usefixtures("_garbage_as_it_was")
def test_ec2_is_read_once_there_is_a_snapshot_of_the_nodes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="exporter.app")

    async def scenario() -> list[Sample]:
        async with fake_kube(FakeKube()) as fake:
            config = kubeconfig(tmp_path, fake.url, {"token": fake.token})
            async with running(config, cluster_name="prod") as url:
                while "ec2_enis" not in by_source(
                    found := await scraped(url), "cycle_duration_seconds"
                ):
                    pass
        return found

    samples = asyncio.run(scenario())
    up = by_source(samples, "source_up")
    assert up == {**dict.fromkeys(up, 1), "ec2_enis": 0, "ec2_subnets": 0, "eks": 0}
    names = [it.labels["cluster"] for it in samples if it.name == "vpc_cni_cluster_info"]
    assert names == ["prod"]
    (reason,) = {it.getMessage() for it in caplog.records if "its VPC" in it.getMessage()}
    assert reason == "source is down: no node tells its instance id, so its VPC is not known"


@pytest.mark.usefixtures("_garbage_as_it_was")
@pytest.mark.parametrize(
    ("token", "status", "told"),
    [
        pytest.param("good", 200, {"reviews": 1.0, "web_config": 1.0}, id="allowed"),
        pytest.param("bad", 401, {}, id="unknown"),
        pytest.param("", 401, {}, id="none"),
    ],
)
def test_with_tokens_kubernetes_says_who_may_see_the_figures(
    token: str,
    status: int,
    told: dict[str, float],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="exporter.app")

    async def review(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        good = asked["spec"].get("token", "good") == "good"
        found = {"authenticated": good, "user": {"username": "x"}, "allowed": True}
        return web.json_response({"status": found}, status=201)

    async def scenario() -> tuple[int, str, dict[str, float]]:
        fake = FakeKube()
        fake.always = dict.fromkeys(((WHO, "create"), (WHETHER, "create")), review)
        (tmp_path / "web.yml").write_text("{}")
        async with fake_kube(fake):
            config = kubeconfig(tmp_path, fake.url, {"token": fake.token})
            flags = {"token_auth": "yes", "web_config": str(tmp_path / "web.yml")}
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with (
                running(config, sources="ipamd", health_address="127.0.0.1:0", **flags) as url,
                ClientSession(headers=headers) as session,
                session.get(f"{url}/metrics") as answer,
            ):
                text = await answer.text()
                families = text_string_to_metric_families(text if answer.status == 200 else "")
                samples = [sample for family in families for sample in family.samples]
                return answer.status, text, by_source(samples, "source_up")

    code, text, up = asyncio.run(scenario())
    assert code == status
    assert {name: up[name] for name in told} == told
    assert ("vpc_cni_" in text) is (status == 200)
    said = [it.getMessage() for it in caplog.records]
    assert said[:3] == [
        "listening",
        "listening for probes",
        "credentials cross the network in the clear: there is no TLS",
    ]


def test_an_empty_sheet_is_what_is_shown_of_a_withdrawn_report() -> None:
    assert Sheet().block(Format.TEXT).plain == b""
