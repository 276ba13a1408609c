"""Which families a page has, and what their TYPE lines say, release by release."""

from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.sim.facts import Gauges, State, series
from exporter.sim.ipamd import Release
from exporter.sim.pages import page

LABELLED = {
    "awscni_aws_api_error_count": {"api": "CreateNetworkInterface", "error": "E"},
    "awscni_aws_api_latency_ms_sum": {"api": "GetMetadata", "error": "false", "status": "200"},
    "awscni_aws_api_latency_ms_count": {"api": "GetMetadata", "error": "false", "status": "200"},
    "awscni_aws_utils_error_count": {"fn": "f", "error": "e"},
    "awscni_del_ip_req_count": {"reason": "PodDeleted"},
    "awscni_ec2api_error_count": {"fn": "CreateNetworkInterface"},
    "awscni_ec2api_req_count": {"fn": "CreateNetworkInterface"},
    "awscni_ipamd_error_count": {"fn": "decreaseIPPool"},
    "awscni_pod_eni_error_count": {"fn": "nodeInit"},
    "awscni_reconcile_count": {"fn": "eniReconcileAdd"},
}
UNLABELLED = (
    "awscni_add_ip_req_count",
    "awscni_force_removed_enis",
    "awscni_force_removed_ips",
    "awscni_no_available_ip_addresses",
)
SINCE = {
    "v1.9.0": {"awscni_total_ipv4_prefixes", "awscni_assigned_ip_per_ipv4cidr"},
    "v1.10.0": {"awscni_build_info", "awscni_assigned_ip_per_cidr"},
    "v1.12.1": {"awscni_ec2api_req_count", "awscni_ec2api_error_count"},
    "v1.15.1": {"awscni_assigned_ip_per_eni", "awscni_no_available_ip_addresses"},
    "v1.20.0": {
        "awscni_ipamd_node_initialization_duration_seconds",
        "awscni_ipamd_startup_duration_seconds",
    },
    "v1.23.0": {"awscni_connmark_backend", "awscni_connmark_reconcile_total"},
}
LIARS = {
    "awscni_add_ip_req_count",
    "awscni_aws_api_error_count",
    "awscni_force_removed_enis",
    "awscni_force_removed_ips",
    "awscni_pod_eni_error_count",
}
OUT = "awscni_no_available_ip_addresses"
RELEASES = [
    "v1.8.0",
    "v1.9.0",
    "v1.9.3",
    "v1.10.0",
    "v1.12.0",
    "v1.12.1",
    "v1.15.0",
    "v1.15.1",
    "v1.16.0",
    "v1.18.1",
    "v1.18.2",
    "v1.18.6",
    "v1.19.0",
    "v1.19.2",
    "v1.19.3",
    "v1.19.4",
    "v1.20.0",
    "v1.22.4",
    "v1.23.0",
    "v1.23.1",
]


def everything() -> State:
    """A process that has used all it has."""
    counters = {series(name, **labels): 3.0 for name, labels in LABELLED.items()}
    counters |= {series(name): 2.0 for name in UNLABELLED}
    gauges = Gauges(assigned=2, total=17, enis=2, eni_max=3, ip_max=27, prefixes=1)
    held = {"10.0.0.9/32": 1, "10.0.0.16/28": 1}
    return State(gauges, counters, held, {"eni-1": 2, "eni-2": 0}, 1_787_200_000.0)


def types(tag: str) -> Mapping[str, str]:
    text = page(everything(), Release.of(tag)).body.decode()
    lines = (line.split(" ") for line in text.splitlines() if line.startswith("# TYPE awscni_"))
    return {name: kind for _, _, name, kind in lines}


def changed(older: str, newer: str) -> tuple[set[str], set[str]]:
    return set(types(newer)) - set(types(older)), set(types(older)) - set(types(newer))


@pytest.mark.parametrize("tag", SINCE)
def test_a_family_comes_with_its_release_and_is_unknown_before(tag: str) -> None:
    older = RELEASES[RELEASES.index(tag) - 1]
    came, went = changed(older, tag)
    assert came == SINCE[tag]
    assert went == ({"awscni_assigned_ip_per_ipv4cidr"} if tag == "v1.10.0" else set())


@pytest.mark.parametrize("tag", RELEASES)
def test_type_lines_lie_in_the_releases_where_they_lied(tag: str) -> None:
    release = Release.of(tag)
    lies = (1, 16, 0) <= release <= (1, 18, 6) or (1, 19, 2) <= release <= (1, 19, 3)
    found = types(tag)
    assert {found[name] for name in LIARS} == {"gauge" if lies else "counter"}
    if release >= (1, 15, 1):
        briefly = (1, 16, 0) <= release <= (1, 18, 1)
        assert found[OUT] == ("gauge" if briefly else "counter")
    assert found["awscni_ipamd_error_count"] == "counter"


@pytest.mark.parametrize("tag", RELEASES)
def test_every_page_parses_and_says_exactly_its_facts(tag: str) -> None:
    written = page(everything(), Release.of(tag))
    parsed = {
        (sample.name.removesuffix("_total"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(written.body.decode())
        for sample in family.samples
    }
    said = {name: parsed[name] for name in everything().counters if name in parsed}
    assert written.facts.counters == said
    gauges = written.facts.gauges
    assert gauges is not None
    assert gauges.prefixes == parsed.get(series("awscni_total_ipv4_prefixes"), 0)
    assert gauges.total == parsed[series("awscni_total_ip_addresses")]


def test_a_reader_of_an_old_page_knows_no_assignment_failures() -> None:
    assert series(OUT) not in page(everything(), Release(1, 12, 6)).facts.counters
    assert page(everything(), Release(1, 15, 1)).facts.counters[series(OUT)] == 2


def test_actions_in_progress_were_named_otherwise_up_to_v1_8() -> None:
    old = page(everything(), Release(1, 8, 0)).body
    new = page(everything(), Release(1, 9, 0)).body
    assert b'fn="increaseIPPool"' in old
    assert b'fn="increaseDatastorePool"' not in old
    assert b'fn="increaseDatastorePool"' in new


def test_image_tags_without_a_patch_are_releases_too() -> None:
    assert Release.of("v1.19") == (1, 19, 0)
    assert Release.of("v1.18.2-eksbuild.1") == (1, 18, 2)
