from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.core.catalog import EXPORTER_METRICS, METRICS, NODE, NODE_TABLE, Unit, labelled
from exporter.core.counters import (
    ADD_REQUESTS,
    ASSIGNMENT_FAILURES,
    AWS_API_ERRORS,
    AWS_API_MILLISECONDS,
    AWS_API_TIMED_CALLS,
    DEL_REQUESTS,
    Series,
)
from exporter.core.eks import EksReport
from exporter.core.health import Health, PointOutcome, Source, SourceHealth
from exporter.core.model import Identity, Outcome, Reason, Snapshot
from exporter.core.report import Memory, Report, step
from exporter.core.subnets import Role, SubnetUsage, rooms
from exporter.outputs.prometheus import (
    Format,
    NodeMetrics,
    Selection,
    Sheet,
    draw,
    finish,
    joined,
    own_lines,
    process_registry,
)
from tests.builders import (
    NOW,
    books,
    eks_report,
    held,
    node,
    pod,
    read,
    reading,
    report,
    snapshot,
    subnet_usage,
    target,
    unread,
    without_enis,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.prom"
GOLDEN_SUBNETS = GOLDEN.with_name("subnets.prom")
GOLDEN_EKS = GOLDEN.with_name("eks.prom")
ALL = Selection()
HEALTH = Health("1.2.3")
NO_PROCESS = CollectorRegistry()

forms = pytest.mark.parametrize("form", [pytest.param(it, id=it.name.lower()) for it in Format])


def sheet(shown: Report | None, selection: Selection = ALL) -> Sheet:
    return Sheet() if shown is None else draw(selection.tables(), shown, {})


def subnet_sheet(*subnets: SubnetUsage, selection: Selection = ALL) -> Sheet:
    return draw(selection.subnet_tables(), subnets, {})


def eks_sheet(told: EksReport, selection: Selection = ALL) -> Sheet:
    return draw(selection.eks_tables(), told, {})


def page(
    *drawn: Sheet,
    form: Format = Format.TEXT,
    health: Health = HEALTH,
    registry: CollectorRegistry = NO_PROCESS,
) -> str:
    own = own_lines(health, registry, form)
    block = joined([it.block(form) for it in drawn])
    return finish(block, own, form, gzipped=False).decode()


Parser = Callable[[str], Iterable[Metric]]
PARSERS: dict[Format, Parser] = {
    Format.TEXT: text_families,
    Format.OPENMETRICS: openmetrics_families,
}


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str, form: Format = Format.TEXT) -> Samples:
    """A page as the Prometheus client's own parser of that format understands it."""
    found: Samples = {}
    for family in PARSERS[form](text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def names(text: str) -> list[str]:
    """The names of a text page's families, in order."""
    return re.findall(r"(?m)^# TYPE (\S+) ", text)


def golden() -> tuple[Report, Health]:
    """Three nodes of two zones over two polls of which the first is a base.

    One is introspected, and its page misses a prefix; one is silent.
    """
    failures, adds = Series(ASSIGNMENT_FAILURES, ()), Series(ADD_REQUESTS, ())
    subnet_full = Series(
        AWS_API_ERRORS, ("CreateNetworkInterface", "InsufficientFreeAddressesInSubnet")
    )
    secondary = target(
        node("ip-10-0-0-1", instance_id="i-01", zone="eu-west-1a", nodegroup="blue"),
        pod("one", cni_version="v1.19.2"),
        3,
    )
    prefixes = target(
        node(
            "ip-10-0-0-2",
            instance_id="i-02",
            zone="eu-west-1b",
            nodegroup="",
            max_pods=110,
            pod_eni_capacity=38,
        ),
        pod("two", cni_version="v1.23.1", env={"ENABLE_PREFIX_DELEGATION": "true"}),
    )
    silent = target(
        node("ip-10-0-0-3", instance_id="i-03", zone="eu-west-1b", nodegroup="blue"),
        pod("three", cni_version="v1.19.2"),
    )
    identity = Identity("prod", "eu-west-1", "vpc-1", "1.33")
    memory, _ = step(
        Memory(),
        snapshot(
            read(secondary, reading(said={adds: 100, failures: 2})),
            read(prefixes, reading(said={adds: 50}, introspection=books(held(attached=48)))),
        ),
    )
    said = {
        adds: 112,
        failures: 5,
        Series(DEL_REQUESTS, ("PodDeleted",)): 4,
        subnet_full: 3,
        Series(AWS_API_MILLISECONDS, ("CreateNetworkInterface",)): 1_234,
        Series(AWS_API_TIMED_CALLS, ("CreateNetworkInterface",)): 3,
    }
    second = snapshot(
        read(secondary, reading(time=NOW + 30, assigned=18, attached=18, said=said)),
        read(
            prefixes,
            reading(
                time=NOW + 30,
                assigned=21,
                attached=32,
                enis=1,
                eni_max=4,
                ip_max=960,
                prefixes=2,
                said={adds: 51},
                introspection=books(held(attached=48, assigned=20, cooldown=3, prefixes=3)),
            ),
        ),
        unread(silent, Reason.TIMEOUT),
        time=NOW + 30,
        identity=identity,
        subnets={"i-01": "subnet-a", "i-03": "subnet-b"},
        pod_enis={"i-02": 5},
        ec2_drifts={"one": -9, "two": 0, "three": 1},
        rooms=rooms(SUBNETS).values(),
        settings={"WARM_IP_TARGET": "5", "ENABLE_PREFIX_DELEGATION": "true"},
    )
    return step(memory, second)[1], golden_health(second)


def golden_health(shot: Snapshot) -> Health:
    """What is known of the sources: EC2 is read as well, and refuses its ENIs just now.

    CloudWatch took the last minute, after an answer had been lost.
    """
    up = SourceHealth(up=True, last_success=NOW + 30.25, cycle_seconds=0.25, reason="")
    health = HEALTH.with_failures(shot.outcomes).with_source(Source.IPAMD, up)
    refused = SourceHealth(last_success=NOW - 150, cycle_seconds=4.5, reason="not allowed")
    subnets = SourceHealth(up=True, last_success=NOW + 20.5, cycle_seconds=0.5, reason="")
    health = health.with_source(Source.EC2_ENIS, refused).with_source(Source.EC2_SUBNETS, subnets)
    took = SourceHealth(up=True, last_success=NOW + 10.75, cycle_seconds=0.125, reason="")
    health = health.with_source(Source.CLOUDWATCH, took)
    points = {PointOutcome.ACCEPTED: 260, PointOutcome.REPEATED: 26}
    requests = {
        ("cloudwatch", "PutMetricData", "ok"): 10,
        ("cloudwatch", "PutMetricData", "failed"): 1,
        ("ec2", "DescribeNetworkInterfaces", "ok"): 20,
        ("ec2", "DescribeNetworkInterfaces", "refused"): 1,
        ("ec2", "DescribeSubnets", "ok"): 4,
        ("ec2", "DescribeSubnets", "throttled"): 2,
    }
    return replace(health, aws_requests=requests, points=points)


SUBNETS = (
    replace(subnet_usage("subnet-a", name="pods-a"), of_eks=True, exhaustion_seconds=5432.1),
    replace(without_enis("subnet-b", roles=(Role.CNI_DISCOVERY,)), of_eks=True),
)


def test_a_page_is_word_for_word_the_reviewed_one() -> None:
    shown, health = golden()
    assert page(sheet(shown), health=health) == GOLDEN.read_text(encoding="utf-8")


def test_the_families_of_subnets_are_word_for_word_the_reviewed_ones() -> None:
    assert subnet_sheet(*SUBNETS).block(Format.TEXT).plain.decode() == GOLDEN_SUBNETS.read_text(
        encoding="utf-8"
    )


def test_the_families_of_eks_are_word_for_word_the_reviewed_ones() -> None:
    assert eks_sheet(eks_report()).block(Format.TEXT).plain.decode() == GOLDEN_EKS.read_text(
        encoding="utf-8"
    )


@forms
def test_the_parser_of_prometheus_reads_what_eks_told_in_both_formats(form: Format) -> None:
    found = samples(page(eks_sheet(eks_report()), form=form), form)
    ours = {it: value for it, value in found.items() if "exporter" not in it[0]}
    assert ours == samples(GOLDEN_EKS.read_text(encoding="utf-8"))


@forms
def test_the_parser_of_prometheus_adds_a_subnets_addresses_up_in_both_formats(form: Format) -> None:
    found = samples(page(subnet_sheet(*SUBNETS), form=form), form)
    golden_ones = samples(GOLDEN_SUBNETS.read_text(encoding="utf-8"))
    assert {it: value for it, value in found.items() if "exporter" not in it[0]} == golden_ones

    def told(name: str) -> dict[str, list[float]]:
        values: dict[str, list[float]] = {}
        for (it, labels), value in found.items():
            if it == name:
                values.setdefault(dict(labels)["subnet_id"], []).append(value)
        return values

    sizes = {"subnet-a": [256.0], "subnet-b": [64.0]}
    assert told("vpc_cni_subnet_size") == sizes
    assert {it: sum(n) for it, n in told("vpc_cni_subnet_ip_addresses").items()} == {
        "subnet-a": 256
    }
    assert {it: 16 * sum(n) for it, n in told("vpc_cni_subnet_prefix_blocks").items()} == {
        "subnet-a": 256
    }


def test_openmetrics_differs_only_in_the_names_of_counters_and_in_its_end() -> None:
    shown, health = golden()
    text = page(sheet(shown), health=health)
    wanted = re.sub(r"(?m)^(# (?:HELP|TYPE) \S+)_total ", r"\1 ", text) + "# EOF\n"
    assert page(sheet(shown), form=Format.OPENMETRICS, health=health) == wanted


@forms
def test_the_parser_of_prometheus_reads_the_same_samples_in_both_formats(form: Format) -> None:
    shown, health = golden()
    found = samples(page(sheet(shown), form=form, health=health), form)
    assert found == samples(GOLDEN.read_text(encoding="utf-8"))
    labels = frozenset({"node": "ip-10-0-0-2", "state": "warm"}.items())
    assert found["vpc_cni_node_ip_addresses", labels] == 25


@forms
def test_a_page_with_the_process_figures_is_legal_too(form: Format) -> None:
    shown, health = golden()
    text = page(sheet(shown), form=form, health=health, registry=process_registry())
    collected = "python_gc_objects_collected_total", frozenset({("generation", "0")})
    assert collected in samples(text, form)
    assert text.count("# EOF\n") == (form is Format.OPENMETRICS)


def test_families_stand_together_and_carry_help_and_type() -> None:
    nodes = sheet(report(read(), unread("node-2")))
    sheets = nodes, subnet_sheet(*SUBNETS), eks_sheet(eks_report())
    text = page(*sheets, registry=process_registry())
    described: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            described.append(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == described[-1]
        else:
            name = re.split(r"[{ ]", line)[0]
            assert re.sub("_(sum|count)$", "", name) == described[-1]
    assert len(set(described)) == len(described)


def test_nothing_is_published_that_is_not_catalogued_but_the_process_figures() -> None:
    everything = Selection(legacy=True)
    nodes = sheet(report(read()), everything)
    sheets = nodes, subnet_sheet(*SUBNETS), eks_sheet(eks_report())
    text = page(*sheets, registry=process_registry())
    own = {name for name in names(text) if name.startswith(("process_", "python_"))}
    assert set(names(text)) - own <= {metric.name for metric in METRICS}
    assert {"process_resident_memory_bytes", "python_info"} <= own


def test_everything_that_is_catalogued_is_published_where_all_is_known() -> None:
    shown, health = golden()
    nodes = sheet(shown, Selection(legacy=True))
    sheets = nodes, subnet_sheet(*SUBNETS), eks_sheet(eks_report())
    assert set(names(page(*sheets, health=health))) == {metric.name for metric in METRICS}


def test_without_a_report_only_the_exporters_own_metrics_stay() -> None:
    shown, health = golden()
    assert names(page(sheet(None), health=health)) == [metric.name for metric in EXPORTER_METRICS]
    assert page(sheet(shown), health=health).endswith(page(sheet(None), health=health))


def test_a_family_without_a_sample_is_not_mentioned() -> None:
    assert "vpc_cni_cluster_ip_capacity" not in page(sheet(report(unread())))
    assert "vpc_cni_zone" not in page(sheet(report(read(), nodes_known=False)))
    assert "vpc_cni_subnet_prefix_blocks" not in page(subnet_sheet(without_enis()))
    assert subnet_sheet().block(Format.TEXT).plain == b""
    assert eks_sheet(EksReport()).block(Format.TEXT).plain == b""


class TestSelection:
    def names(self, selection: Selection) -> set[str]:
        shown, health = golden()
        own = {metric.name for metric in EXPORTER_METRICS}
        subnets = subnet_sheet(*SUBNETS, selection=selection)
        told = eks_sheet(eks_report(), selection)
        found = set(names(page(sheet(shown, selection), subnets, told, health=health)))
        assert own <= found
        return found - own

    def test_of_nothing_in_particular_is_everything_but_the_incumbents(self) -> None:
        own = {metric.name for metric in EXPORTER_METRICS}
        wanted = {it.name for it in METRICS if not it.name.startswith("awscni_")}
        assert self.names(ALL) == wanted - own

    @pytest.mark.parametrize(
        ("selection", "wanted"),
        [
            pytest.param(
                Selection(allow=("vpc_cni_cluster_enis", "vpc_cni_*_ip_capacity")),
                {
                    "vpc_cni_cluster_enis",
                    "vpc_cni_cluster_ip_capacity",
                    "vpc_cni_zone_ip_capacity",
                    "vpc_cni_nodegroup_ip_capacity",
                    "vpc_cni_node_ip_capacity",
                },
                id="names and patterns",
            ),
            pytest.param(
                Selection(allow=("*_ip_capacity",), deny=("vpc_cni_node*",)),
                {"vpc_cni_cluster_ip_capacity", "vpc_cni_zone_ip_capacity"},
                id="deny overrules allow",
            ),
            pytest.param(
                Selection(allow=("vpc_cni_????_enis",)),
                {"vpc_cni_zone_enis", "vpc_cni_node_enis"},
                id="a question mark is one character",
            ),
            pytest.param(
                Selection(
                    allow=("vpc_cni_subnet_*",),
                    deny=("*_ratio", "*ip_addresses", "*_i*", "*_seconds"),
                ),
                {
                    "vpc_cni_subnet_role",
                    "vpc_cni_subnet_size",
                    "vpc_cni_subnet_prefix_blocks",
                    "vpc_cni_subnet_node_headroom",
                    "vpc_cni_subnet_enis",
                },
                id="subnets like others",
            ),
            pytest.param(
                Selection(allow=("*leaked_enis",)), {"vpc_cni_leaked_enis"}, id="leaks alone"
            ),
            pytest.param(
                Selection(allow=("vpc_cni_addon_*", "*_ready"), deny=("*_info",)),
                {
                    "vpc_cni_addon_health_issues",
                    "vpc_cni_addon_update_available",
                    "vpc_cni_cluster_upgrade_addresses_ready",
                },
                id="what EKS tells like others",
            ),
            pytest.param(
                Selection(allow=("vpc_cni_zone_enis", "vpc_cni_node_enis"), nodes=NodeMetrics.NONE),
                {"vpc_cni_zone_enis"},
                id="no nodes",
            ),
            pytest.param(
                Selection(allow=("awscni_eni_*",), legacy=True),
                {"awscni_eni_allocated", "awscni_eni_max"},
                id="the incumbent's names",
            ),
            pytest.param(Selection(allow=("awscni_eni_*",)), set(), id="unless not asked for"),
            pytest.param(Selection(deny=("*",)), set(), id="nothing"),
        ],
    )
    def test_by_name(self, selection: Selection, wanted: set[str]) -> None:
        assert self.names(selection) == wanted

    @pytest.mark.parametrize(
        ("nodes", "told"),
        [
            pytest.param(NodeMetrics.ALL, ["node-1", "node-2", "node-3"], id="all"),
            pytest.param(NodeMetrics.PROBLEMS, ["node-2", "node-3"], id="problems"),
            pytest.param(NodeMetrics.NONE, [], id="none"),
        ],
    )
    def test_by_node(self, nodes: NodeMetrics, told: list[str]) -> None:
        full = read("node-3", reading(assigned=18, attached=18))
        shown = report(read("node-1"), unread("node-2"), full)
        text = page(sheet(shown, Selection(nodes=nodes)))
        assert re.findall(r'(?m)^vpc_cni_node_read\{node="(.*?)"}', text) == told
        assert 'vpc_cni_cluster_nodes{state="read"} 2\n' in text


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
hostile = st.sampled_from(("\\", '"', "\n", "\\n", 'a"b\\c\nd', "}", ",", "=", "# EOF", " ", "\r"))


@forms
@given(
    names=st.lists(any_text | hostile, min_size=1, max_size=3, unique=True),
    cluster=any_text | hostile,
)
def test_label_values_come_back_as_they_were(form: Format, names: list[str], cluster: str) -> None:
    outcomes = [unread(target(node(it, zone=it, nodegroup=it)), Reason.NO_POD) for it in names]
    shown = report(*outcomes, identity=Identity(cluster=cluster))
    allowed = Selection(allow=("vpc_cni_node_info", "vpc_cni_cluster_info"))
    found = samples(page(sheet(shown, allowed), form=form), form)
    labels = [dict(it) for name, it in found if name == "vpc_cni_node_info"]
    assert [(it["node"], it["zone"], it["nodegroup"]) for it in labels] == [
        (it, it or "none", it or "none") for it in names
    ]
    (of_cluster,) = (dict(it) for name, it in found if name == "vpc_cni_cluster_info")
    assert of_cluster["cluster"] == cluster


@forms
@given(name=any_text | hostile)
def test_a_subnets_name_comes_back_as_it_was(form: Format, name: str) -> None:
    found = samples(page(subnet_sheet(subnet_usage(name=name)), form=form), form)
    (labels,) = (dict(it) for metric, it in found if metric == "vpc_cni_subnet_info")
    assert labels["name"] == name


def told(value: float, form: Format = Format.TEXT) -> str:
    """How a value is written."""
    up = SourceHealth(up=True, last_success=value)
    text = own_lines(HEALTH.with_source(Source.IPAMD, up), NO_PROCESS, form).decode()
    (found,) = re.findall(r"(?m)^vpc_cni_exporter_last_success_timestamp_seconds\S+ (.*)$", text)
    return str(found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(0.0, "0", id="zero"),
        pytest.param(-0.0, "0", id="minus zero"),
        pytest.param(1_787_200_000.0, "1787200000", id="whole"),
        pytest.param(0.25, "0.25", id="fraction"),
        pytest.param(1e-9, "1e-09", id="small"),
        pytest.param(-1.5, "-1.5", id="negative"),
        pytest.param(2.0**53 - 1, "9007199254740991", id="the largest that counts one by one"),
        pytest.param(2.0**53, "9007199254740992.0", id="the first that does not"),
        pytest.param(1e300, "1e+300", id="large"),
        pytest.param(math.inf, "+Inf", id="infinite"),
        pytest.param(-math.inf, "-Inf", id="minus infinite"),
        pytest.param(math.nan, "NaN", id="not a number"),
    ],
)
def test_values_are_written_as_prometheus_reads_them(value: float, text: str) -> None:
    assert told(value) == text


@forms
@given(st.floats())
def test_values_lose_nothing(form: Format, value: float) -> None:
    back = float(told(value, form))
    assert back == value or (math.isnan(back) and math.isnan(value))


@given(st.integers(0, 2**63))
def test_large_sums_are_written_to_the_last_digit(assigned: int) -> None:
    shown = report(read(what=reading(assigned=assigned, attached=2**64)))
    assert f'\nvpc_cni_cluster_ip_addresses{{state="assigned"}} {assigned}\n' in page(sheet(shown))


MANY = tuple(read(f"node-{i}", reading(assigned=i % 18)) for i in range(300))


@forms
@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(None, id="nothing but the exporter's own"),
        pytest.param(report(), id="an empty cluster"),
        pytest.param(report(*MANY), id="hundreds of nodes"),
    ],
)
def test_a_gzipped_page_is_one_whole_member_that_holds_the_plain_page(
    form: Format, shown: Report | None
) -> None:
    block, own = sheet(shown).block(form), own_lines(HEALTH, NO_PROCESS, form)
    plain = finish(block, own, form, gzipped=False)
    zipped = finish(block, own, form, gzipped=True)
    inflater = zlib.decompressobj(wbits=31)
    assert inflater.decompress(zipped) == plain
    assert (inflater.eof, inflater.unused_data) == (True, b"")
    assert gzip.decompress(zipped) == plain


@forms
@pytest.mark.parametrize(
    "sheets",
    [
        pytest.param((), id="none"),
        pytest.param((sheet(report(*MANY)), subnet_sheet(*SUBNETS)), id="nodes and subnets"),
        pytest.param((subnet_sheet(*SUBNETS), Sheet(), sheet(report())), id="an empty one between"),
    ],
)
def test_joined_reports_are_one_gzip_member_too(form: Format, sheets: tuple[Sheet, ...]) -> None:
    blocks, own = [it.block(form) for it in sheets], own_lines(HEALTH, NO_PROCESS, form)
    zipped = finish(joined(blocks), own, form, gzipped=True)
    inflater = zlib.decompressobj(wbits=31)
    end = b"# EOF\n" if form is Format.OPENMETRICS else b""
    assert inflater.decompress(zipped) == b"".join(it.plain for it in blocks) + own + end
    assert (inflater.eof, inflater.unused_data) == (True, b"")


def test_gzip_makes_a_page_of_many_nodes_a_tenth() -> None:
    block = sheet(report(*MANY)).block(Format.TEXT)
    zipped = finish(block, b"", Format.TEXT, gzipped=True)
    assert len(zipped) < len(block.plain) / 10


node_outcomes = st.lists(
    st.builds(
        lambda assigned, version: read(
            target(node(), pod(cni_version=version)), reading(assigned=assigned)
        ),
        st.integers(0, 2),
        st.sampled_from(("v1", "v2")),
    )
    | st.builds(unread, reason=st.sampled_from((Reason.TIMEOUT, Reason.NO_POD))),
    min_size=0,
    max_size=3,
)


def renamed(outcomes: list[Outcome], order: list[int]) -> list[Outcome]:
    """One node each, some of which are there and in which order."""
    return [
        replace(it, target=replace(it.target, node=node(f"node-{i}")))
        for i, it in zip(order, outcomes, strict=False)
    ]


@settings(max_examples=60)
@given(st.lists(st.tuples(node_outcomes, st.permutations(range(4))), min_size=2, max_size=4))
def test_a_page_drawn_on_the_one_before_equals_one_drawn_afresh(
    snapshots: list[tuple[list[Outcome], list[int]]],
) -> None:
    before = Sheet()
    for outcomes, order in snapshots:
        shown = report(*renamed(outcomes, order))
        before = draw(ALL.tables(), shown, before.cache)
        assert before.families == draw(ALL.tables(), shown, {}).families


def test_two_metrics_that_are_always_1_have_lines_of_their_own() -> None:
    names = ("one", "other")
    facts = [
        labelled(f"{name}{{version}}", NODE, lambda _: {("v1",): 1}, help="A fact.", unit=Unit.INFO)
        for name in names
    ]
    table = replace(NODE_TABLE, metrics=tuple(facts))
    shown = report(read(target(node("node-1"))))
    before = draw((table,), shown, {})
    for drawn in (
        before,
        draw((table,), report(read(target(node("node-1")), reading(enis=9))), before.cache),
    ):
        assert [text for *_, lines in drawn.families for text in lines] == [
            f'vpc_cni_node_{name}_info{{node="node-1",version="v1"}} 1\n' for name in names
        ]


def test_the_content_types_are_those_that_prometheus_knows() -> None:
    assert [it.value for it in Format] == [
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ]
