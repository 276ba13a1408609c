"""ipamd's page: golden ones release by release, bad ones with their messages, and limits."""

from __future__ import annotations

import json
import re
import timeit
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.core.counters import FAMILIES, SERIES, Family, index_of
from exporter.core.model import Counts, Reading, Reason
from exporter.inputs.fetch import FetchFailed
from exporter.inputs.ipamd_page import parse_page, samples
from exporter.inputs.ipamd_sources import SOURCES

PAGES = Path(__file__).parents[1] / "data" / "pages"
EXPECTED = json.loads((PAGES / "expected.json").read_text())
MESSAGES = json.loads((PAGES / "bad" / "messages.json").read_text())
SEVERAL_CARDS = "v1.23_several_cards"
TIME = 1_787_200_030.0
CORE = (
    b"awscni_eni_max 3\nawscni_ip_max 27\nawscni_eni_allocated 2\n"
    b"awscni_total_ip_addresses 18\nawscni_assigned_ip_addresses 7\n"
)
BARE = Reading(
    time=TIME, started=None, assigned=7, attached=18, enis=2, eni_max=3, ip_max=27, prefixes=0
)


def page(name: str) -> bytes:
    return (PAGES / f"{name}.prom").read_bytes()


def readable(reading: Reading) -> dict[str, object]:
    """A reading in the words of expected.json."""
    pairs = zip(reading.counts.series, reading.counts.values, strict=True)
    return {
        "started": reading.started,
        "assigned": reading.assigned,
        "attached": reading.attached,
        "enis": reading.enis,
        "eni_max": reading.eni_max,
        "ip_max": reading.ip_max,
        "prefixes": reading.prefixes,
        "assigned_by_eni": dict(reading.assigned_by_eni),
        "actions": reading.actions,
        "counts": {
            " ".join((SERIES[index].family.name, *SERIES[index].values)): value
            for index, value in pairs
        },
    }


def failure(body: bytes, *, several_cards: bool = False) -> tuple[Reason, str]:
    with pytest.raises(FetchFailed) as caught:
        parse_page(body, TIME, several_cards=several_cards)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_page_of_each_release_is_read_whole(name: str) -> None:
    reading = parse_page(page(name), TIME, several_cards=name == SEVERAL_CARDS)

    assert readable(reading) == EXPECTED[name]


def test_every_golden_page_has_its_expected_reading() -> None:
    assert {path.stem for path in PAGES.glob("*.prom")} == set(EXPECTED)


def test_a_row_is_since_the_release_whose_page_first_has_it() -> None:
    releases = {(1, 4): "v1.4", (1, 8): "v1.8", (1, 12): "v1.12", (1, 15): "v1.15.1"}
    for source in SOURCES:
        major, minor, *_ = map(int, source.since.split("."))
        for release, name in releases.items():
            found = {sample.name for sample in samples(page(name))}
            assert release >= (major, minor) or source.name not in found


def test_every_counter_has_a_source_and_keeps_as_many_labels_as_it_is_split_by() -> None:
    sources = {source.into for source in SOURCES if isinstance(source.into, Family)}
    assert sources == set(FAMILIES)
    for source in SOURCES:
        if isinstance(source.into, Family):
            assert len(source.labels) == len(source.into.labels)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_bad_page_is_refused_for_what_is_wrong_with_it(name: str) -> None:
    assert failure(page(f"bad/{name}")) == tuple(MESSAGES[name])


def test_every_bad_page_has_its_message() -> None:
    assert {path.stem for path in (PAGES / "bad").glob("*.prom")} == set(MESSAGES)


def test_what_does_not_even_look_like_a_page_need_not_end_in_a_newline() -> None:
    assert failure(b"\x93\x00\xfeawscni_eni_max 3") == (Reason.MALFORMED, "not an ipamd page")


def test_with_several_cards_total_and_assigned_are_not_compared() -> None:
    body = CORE.replace(b"total_ip_addresses 18", b"total_ip_addresses 4")
    eni = b'awscni_assigned_ip_per_eni{eni="eni-0a1"} 7\n'

    assert failure(body + eni) == (Reason.INCONSISTENT, "7 addresses assigned of 4 in all")
    assert parse_page(body + eni, TIME, several_cards=True).assigned_by_eni == (("eni-0a1", 7),)


def test_with_several_cards_the_series_per_eni_are_needed() -> None:
    without = (Reason.INCOMPLETE, "without awscni_assigned_ip_per_eni")

    assert failure(CORE, several_cards=True) == without


def test_with_several_cards_and_no_eni_there_is_no_series_per_eni_to_miss() -> None:
    body = re.sub(rb"(allocated|addresses) \d+", rb"\1 0", CORE)

    assert parse_page(body, TIME, several_cards=True).assigned_by_eni == ()


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        pytest.param(
            b"".join(b'awscni_ipamd_error_count{fn="f%d"} 1\n' % i for i in range(5_001)),
            Reason.TOO_LARGE,
            "more than 5000 series",
            id="series",
        ),
        pytest.param(
            b"".join(b'awscni_assigned_ip_per_eni{eni="eni-%d"} 1\n' % i for i in range(257)),
            Reason.TOO_LARGE,
            "more than 256 ENIs",
            id="ENIs",
        ),
        pytest.param(
            b"awscni_ipamd_error_count{%b} 1\n" % b",".join(b'l%d=""' % i for i in range(9)),
            Reason.MALFORMED,
            "line 6: a label too many: 'awscni_ipamd_error_count{"
            'l0="",l1="",l2="",l3="",l4="",l5="",l6="",l7="",l8=""} \'',
            id="labels",
        ),
    ],
)
def test_there_is_a_limit_to(body: bytes, reason: Reason, detail: str) -> None:
    assert failure(CORE + body) == (reason, detail)


def test_a_page_may_have_just_as_many() -> None:
    enis = b"".join(b'awscni_assigned_ip_per_eni{eni="eni-%d"} 1\n' % i for i in range(256))
    errors = b"".join(b'awscni_ipamd_error_count{fn="f%d"} 1\n' % i for i in range(5_000 - 256 - 5))

    reading = parse_page(CORE + enis + errors, TIME)

    assert len(reading.assigned_by_eni) == 256
    assert reading.counts.values == (4_739.0,)


def test_every_address_may_be_assigned() -> None:
    body = CORE.replace(b"assigned_ip_addresses 7", b"assigned_ip_addresses 18")

    assert parse_page(body, TIME) == replace(BARE, assigned=18)


def test_a_page_of_many_megabytes_of_other_series_is_read() -> None:
    churned = b"".join(
        b'awscni_assigned_ip_per_cidr{cidr="10.%d.%d.%d/32"} 0\n' % (i >> 16, i >> 8 & 255, i & 255)
        for i in range(40_000)
    )

    assert parse_page(churned + CORE, TIME) == BARE


def test_texts_without_bound_are_folded_and_do_not_crowd_out_what_is_known() -> None:
    errors = b"".join(
        b'awscni_aws_utils_error_count{error="request id %d",fn="AllocENIDeleteErr"} 1\n' % i
        for i in range(4_999 - 5)
    )
    known = index_of(*_child("aws_utils_errors", "AllocENIDeleteErr"))

    for _ in range(2):
        counts = parse_page(CORE + errors, TIME).counts
        assert counts == Counts((known,), (4_994.0,))
    assert readable(parse_page(page("v1.20"), TIME)) == EXPECTED["v1.20"]


@pytest.mark.parametrize("filler", ["", "x" * 30_000], ids=["many", "long"])
def test_memory_does_not_grow_with_what_a_node_makes_up(filler: str) -> None:
    def made_up(page: int) -> bytes:
        series = (
            f'awscni_ipamd_error_count{{fn="{page}-{number}{filler}"}} 1\n'
            for number in range(3_000 if not filler else 100)
        )
        return CORE + "".join(series).encode()

    for number in range(3):
        parse_page(made_up(number), TIME)
    tracemalloc.start()
    for number in range(3, 9):
        parse_page(made_up(number), TIME)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # One page's series, and no more, are remembered.
    assert grown < 1_500_000


def test_a_page_in_gos_own_spelling_is_read_much_faster_than_line_by_line() -> None:
    body = page("v1.20")

    def fastest(work: Callable[[], object]) -> float:
        return min(timeit.repeat(work, number=5, repeat=20))

    line_by_line = fastest(lambda: list(samples(body)))
    assert fastest(lambda: parse_page(body, TIME)) < line_by_line / 2


def _child(family: str, *values: str) -> tuple[Family, tuple[str, ...]]:
    return next(it for it in FAMILIES if it.name == family), values


def test_pages_with_the_same_series_share_them() -> None:
    changed = page("v1.20").replace(b"add_ip_req_count 15203", b"add_ip_req_count 15204")
    one, other = parse_page(page("v1.20"), TIME).counts, parse_page(changed, TIME).counts

    assert one != other
    assert one.series is other.series
