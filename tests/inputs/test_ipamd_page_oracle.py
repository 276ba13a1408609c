"""ipamd's page against prometheus_client's parser, over every spelling that the format has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.core.counters import OTHER, index_of
from exporter.core.model import Counts, Reading
from exporter.inputs.fetch import FetchFailed
from exporter.inputs.ipamd_page import parse_page, samples
from exporter.inputs.ipamd_sources import SOURCES

DATA = Path(__file__).parents[1] / "data"
PAGES = sorted((DATA / "pages").glob("*.prom")) + sorted((DATA / "polls").rglob("*.prom"))
TIME = 1_787_200_030.0
CORE = (
    b"awscni_eni_max 3\nawscni_ip_max 27\nawscni_eni_allocated 2\n"
    b"awscni_total_ip_addresses 18\nawscni_assigned_ip_addresses 7\n"
)
WANTED = {source.name for source in SOURCES}


def oracle_samples(text: str) -> Sequence[tuple[str, Mapping[str, str], str]]:
    """What prometheus_client reads of the wanted families; values as text, since NaN is not NaN."""
    found = []
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # It renames what a TYPE line calls a counter.
            counter = family.type == "counter"
            name = sample.name.removesuffix("_total") if counter else sample.name
            if name in WANTED:
                found.append((name, sample.labels, repr(float(sample.value))))
    return found


def our_samples(text: str) -> Sequence[tuple[str, Mapping[str, str], str]]:
    return [(s.name, s.labels, repr(s.value)) for s in samples(text.encode())]


def fold(found: Iterable[tuple[str, Mapping[str, str], str]]) -> Reading:
    sources = {source.name: source for source in SOURCES}
    fields: dict[str, float] = {}
    enis: dict[str, int] = {}
    counts: dict[int, float] = {}
    for name, labels, text in found:
        into = sources[name].into
        if name == "awscni_assigned_ip_per_eni":
            enis[labels["eni"]] = int(float(text))
        elif into == "actions":
            fields[into] = fields.get(into, 0.0) + float(text)
        elif isinstance(into, str):
            fields[into] = float(text)
        elif labels.get("fn") != "eniDataStorePoolReconcileAdd":
            index = index_of(into, tuple(labels.get(it, OTHER) for it in sources[name].labels))
            counts[index] = counts.get(index, 0.0) + float(text)
    ordered = sorted(counts.items())
    return Reading(
        time=TIME,
        started=fields.get("started"),
        assigned=int(fields["assigned"]),
        attached=int(fields["attached"]),
        enis=int(fields["enis"]),
        eni_max=int(fields["eni_max"]),
        ip_max=int(fields["ip_max"]),
        prefixes=int(fields.get("prefixes", 0)),
        assigned_by_eni=tuple(sorted(enis.items())),
        actions=int(fields.get("actions", 0)),
        counts=Counts(tuple(i for i, _ in ordered), tuple(value for _, value in ordered)),
    )


@pytest.mark.parametrize("path", [pytest.param(it, id=it.stem) for it in PAGES])
def test_a_golden_page_says_the_same_to_prometheus_client(path: Path) -> None:
    body = path.read_bytes()
    several_cards = path.stem.endswith("several_cards")

    reading = parse_page(body, TIME, several_cards=several_cards)

    assert reading == fold(oracle_samples(body.decode()))


BLANKS = st.sampled_from(["", "", "", " ", "\t", "  ", " \t "])
SOME_BLANKS = st.sampled_from([" ", " ", " ", "\t", "  ", "\t "])
LINE_ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", " \n", "\n\n"])
TIMESTAMPS = st.sampled_from(["", "", "", " 1787200000000", "\t-5"])
LABEL_VALUES = st.one_of(
    st.sampled_from(
        ["PodDeleted", "CreateTags", "eniReconcileAdd", "", "eni-0a1", 'a}{b,c="d"# e']
    ),
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], include_characters='\\"\n{},=# '), max_size=9
    ),
    st.text("x", min_size=300, max_size=400),
)
LABELS = st.dictionaries(
    st.sampled_from(["api", "error", "fn", "reason", "status", "zone_1", "_"]),
    LABEL_VALUES,
    max_size=4,
)
NUMBERS = st.one_of(
    st.integers(-9, 10**6).map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["NaN", "+Inf", "-Inf", "Inf", "1e3", "1E-3", "+5", ".5", "5.", "2.81474976710656e+14"]
    ),
)
OTHER_LINES = st.sampled_from(
    [
        "",
        "# a comment",
        "#",
        "# TYPE awscni_ip_max counter",
        "# TYPE awscni_add_ip_req_count counter",
        "# HELP awscni_eni_max awscni_eni_max 3",
        "# awscni_eni_max 4",
        'go_info{version="awscni_eni_max 3"} 1',
        "awscni_eni_max_seen 3",
        "awscni_add_ip_req_count_total 7",
        "awscni_add_ip_req_count:rate 7",
        'awscni_assigned_ip_per_cidr{cidr="10.0.0.1/32"} 1',
        'awscni_aws_api_latency_ms{api="x",quantile="0.5"} NaN',
        "xawscni_eni_max 3",
        'go_x{a="\\\\"} 1',
    ]
)


def spelled(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@st.composite
def sample_lines(
    draw: st.DrawFn,
    names: Sequence[str] = tuple(sorted(WANTED)),
    labels: st.SearchStrategy[dict[str, str]] = LABELS,
    numbers: st.SearchStrategy[str] = NUMBERS,
) -> str:
    """One sample in any spelling that the format has."""
    pairs = [
        f'{draw(BLANKS)}{key}{draw(BLANKS)}={draw(BLANKS)}"{spelled(value)}"{draw(BLANKS)}'
        for key, value in draw(labels).items()
    ]
    comma = draw(st.sampled_from(["", ","])) if pairs else ""
    braces = f"{draw(BLANKS)}{{{','.join(pairs)}{comma}}}{draw(BLANKS)}" if pairs else ""
    gap = "" if braces else draw(SOME_BLANKS)
    name = draw(st.sampled_from(names))
    return f"{draw(BLANKS)}{name}{braces}{gap}{draw(numbers)}{draw(TIMESTAMPS)}"


@st.composite
def texts(draw: st.DrawFn) -> str:
    lines = draw(st.lists(st.one_of(sample_lines(), OTHER_LINES), max_size=8))
    return "".join(line + draw(LINE_ENDS) for line in lines)


@given(texts())
@settings(max_examples=250)
@example("awscni_eni_max\t3\n")
@example("awscni_eni_max{}3\nawscni_ip_max{ } 4 5\r\n")
@example('awscni_del_ip_req_count{reason="a\\\\"} 1\nawscni_del_ip_req_count{reason="\\x"} 1\n')
def test_any_legal_spelling_means_what_it_means_to_prometheus_client(text: str) -> None:
    assert our_samples(text) == oracle_samples(text)


NO_LABELS = st.just(dict[str, str]())
COUNTS = st.integers(0, 10**7).map(str)
START_TIMES = st.sampled_from(["1.78720000025e+09", "1787200000", "0"])
COUNTERS = tuple(source.name for source in SOURCES if not isinstance(source.into, str))
ENI = st.fixed_dictionaries({"eni": st.from_regex(r"eni-[0-9a-f]{1,17}", fullmatch=True)})


def once(lines: Iterable[str]) -> list[str]:
    """Those lines whose series has not been on a line before."""
    seen: dict[object, str] = {}
    for line in lines:
        for name, labels, _ in oracle_samples(line):
            seen.setdefault((name, frozenset(labels.items())), line)
    return list(seen.values())


@st.composite
def whole_pages(draw: st.DrawFn) -> str:
    """A page that is right: every series once, every gauge of the core, in any order."""
    lines = [
        *CORE.decode().splitlines(),
        *draw(st.lists(sample_lines(COUNTERS, LABELS, COUNTS), max_size=8)),
        *draw(st.lists(sample_lines(["awscni_assigned_ip_per_eni"], ENI, COUNTS), max_size=3)),
        *draw(st.lists(sample_lines(["process_start_time_seconds"], NO_LABELS, START_TIMES))),
        *draw(st.lists(sample_lines(["awscni_total_ipv4_prefixes"], NO_LABELS, COUNTS))),
    ]
    lines = draw(st.permutations(once(lines) + draw(st.lists(OTHER_LINES, max_size=3))))
    return "".join(line + draw(LINE_ENDS) for line in lines)


@given(whole_pages())
@settings(max_examples=200)
def test_a_whole_page_in_any_spelling_is_the_reading_of_prometheus_clients_samples(
    text: str,
) -> None:
    assert parse_page(text.encode(), TIME) == fold(oracle_samples(text))


def wanted_lines(body: bytes) -> str:
    """The page without what prometheus_client would refuse and we step over unread."""
    lines = [line.strip(b" \t\r").decode("utf-8", "surrogateescape") for line in body.split(b"\n")]
    return "".join(f"{line}\n" for line in lines if re.split("[ \t{]", line)[0] in WANTED)


SMALL = (DATA / "pages" / "v1.16.prom").read_bytes().partition(b"# HELP go_")[0]
PIECES = st.one_of(
    st.binary(max_size=4),
    st.sampled_from(
        [b"{", b"}", b'"', b"\\", b"\n", b" ", b"_", b"-", b"1", b"NaN", b"\r", b"\x0b"]
    ),
    sample_lines().map(lambda line: line.encode() + b"\n"),
)


@st.composite
def damaged_pages(draw: st.DrawFn) -> bytes:
    """A good page in which up to three pieces are replaced by others."""
    body = SMALL
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(body)))
        end = begin + draw(st.sampled_from([0, 0, 1, 2, 40]))
        body = body[:begin] + draw(PIECES) + body[end:]
    return body


def outcome(body: bytes) -> Reading | FetchFailed:
    try:
        return parse_page(body, TIME)
    except FetchFailed as failed:
        return failed


@given(damaged_pages())
@settings(max_examples=400)
def test_a_damaged_page_is_refused_or_means_what_it_means_to_prometheus_client(
    body: bytes,
) -> None:
    said = outcome(body)

    assert isinstance(said, FetchFailed) or said == fold(oracle_samples(wanted_lines(body)))


@given(st.lists(st.one_of(PIECES, st.just(CORE)), max_size=12).map(b"".join))
def test_whatever_a_node_sends_is_a_reading_or_a_short_refusal(body: bytes) -> None:
    said = outcome(body)

    assert isinstance(said, Reading) or 0 < len(said.detail) < 300
