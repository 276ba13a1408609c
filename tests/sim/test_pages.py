import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.sim import exposition
from exporter.sim.facts import Gauges, series
from exporter.sim.ipamd import Eni, Ipamd, Release
from exporter.sim.pages import Writer, number, page, write

NEW, OLD = "v1.23.1-eksbuild.1", "v1.15.1-eksbuild.1"
V1_23, V1_15 = Release(1, 23, 1), Release(1, 15, 1)


def ipamd() -> Ipamd:
    enis = [
        Eni("eni-0a", cidrs={"10.0.1.16/28": 5, "10.0.1.32/28": 0}),
        Eni("eni-0b", trunk=True),
    ]
    return Ipamd(1787200000.5, eni_max=3, ip_max=432, enis=enis, prefix=True)


def samples(body: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Parse with the library, which puts `_total` behind every counter that has none."""
    return {
        (sample.name.removesuffix("_total"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-3, "-3"),
        (999999, "999999"),
        (1000000, "1e+06"),
        (1234567, "1.234567e+06"),
        (1787200000.5, "1.7872000005e+09"),
        (2**48, "2.81474976710656e+14"),
        (0.25, "0.25"),
        (123456.75, "123456.75"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
    ],
)
def test_numbers_are_printed_as_go_prints_them(value: float, text: str) -> None:
    assert number(value) == text


def test_a_page_says_what_the_process_holds_and_has_counted() -> None:
    state = ipamd()
    state.count("awscni_add_ip_req_count", 7)
    state.count("awscni_aws_utils_error_count", fn="f", error='a "b"\\\nc')
    state.count("awscni_aws_api_latency_ms_sum", 250, api="CreateTags", error="false", status="200")
    state.count("awscni_aws_api_latency_ms_count", 2, api="CreateTags", error="false", status="200")
    found = samples(write(state.state(), V1_23))
    facts = page(state.state(), V1_23).facts
    assert facts.gauges == Gauges(5, 32, enis=2, eni_max=3, ip_max=432, prefixes=2)
    assert {name: found[name] for name in facts.counters} == facts.counters
    assert found[series("awscni_total_ip_addresses")] == 32
    assert found[series("awscni_assigned_ip_per_cidr", cidr="10.0.1.16/28")] == 5
    assert found[series("awscni_assigned_ip_per_eni", eni="eni-0b")] == 0
    assert found[series("process_start_time_seconds")] == 1787200000.5


def test_reading_a_written_page_gives_its_facts_again() -> None:
    state = ipamd()
    state.count("awscni_del_ip_req_count", 3, reason="PodDeleted")
    read = exposition.read(write(state.state(), V1_15).decode())
    assert read == page(state.state(), V1_15).facts


def test_a_labelled_family_is_absent_until_it_is_used() -> None:
    state = ipamd()
    assert b"awscni_del_ip_req_count" not in write(state.state(), V1_23)
    assert b"\nawscni_add_ip_req_count 0\n" in write(state.state(), V1_23)
    state.count("awscni_del_ip_req_count", reason="PodDeleted")
    assert b'\nawscni_del_ip_req_count{reason="PodDeleted"} 1\n' in write(state.state(), V1_23)


def test_a_cidr_that_was_given_back_stays_at_zero() -> None:
    state = ipamd()
    state.given_back.add("10.0.9.0/28")
    assert b'\nawscni_assigned_ip_per_cidr{cidr="10.0.9.0/28"} 0\n' in write(state.state(), V1_23)
    assert state.gauges().total == 32


@pytest.mark.parametrize(("tag", "release"), [(NEW, V1_23), (OLD, V1_15)])
def test_the_image_tag_decides_the_release(tag: str, release: Release) -> None:
    assert Release.of(tag) == release
    assert Writer(ipamd(), tag).page().body == write(ipamd().state(), release)


def test_a_page_is_written_again_only_after_a_change() -> None:
    writer = Writer(ipamd(), NEW)
    before = writer.page()
    assert writer.page() is before
    writer.ipamd.count("awscni_add_ip_req_count")
    writer.ipamd.touch()
    after = writer.page()
    assert after.facts.counters[series("awscni_add_ip_req_count")] == 1
    assert b"\nawscni_add_ip_req_count 1\n" in after.body


def test_a_restart_keeps_the_gauges_and_counts_from_zero() -> None:
    writer = Writer(ipamd(), OLD)
    writer.ipamd.count("awscni_add_ip_req_count", 7)
    writer.ipamd.count("awscni_del_ip_req_count", 7, reason="PodDeleted")
    facts = writer.restarted(1787200100.001, NEW).page().facts
    assert facts.gauges == writer.ipamd.gauges()
    assert set(facts.counters.values()) == {0}
    assert series("awscni_del_ip_req_count", reason="PodDeleted") not in facts.counters
    assert facts.started == 1787200100.01
