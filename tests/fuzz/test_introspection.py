"""ipamd's introspection, whole and broken, against a plain reader of JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.introspection import Introspection
from exporter.inputs.fetch import FetchFailed
from exporter.inputs.introspection import decode_eniconfig, parse_enis
from tests.builders import NOW
from tests.fuzz.bodies import COOLDOWN, JUNK, Json, Made, bodies, damaged, plainly_read


def outcome(body: bytes) -> Introspection | FetchFailed:
    try:
        return parse_enis(body, NOW, cooldown=COOLDOWN)
    except FetchFailed as failed:
        return briefly(failed)


def briefly(failed: FetchFailed) -> FetchFailed:
    assert 0 < len(failed.detail) < 1_000
    return failed


@given(bodies())
@settings(max_examples=200)
def test_a_body_of_any_release_says_what_it_was_made_of(made: Made) -> None:
    assert parse_enis(json.dumps(made.json).encode(), NOW) == made.introspection
    assert plainly_read(made.json) == made.introspection


@given(damaged())
@settings(max_examples=500)
def test_a_damaged_body_is_refused_or_means_what_json_says(whole: Json) -> None:
    said = outcome(json.dumps(whole).encode())
    assert isinstance(said, FetchFailed) or said == plainly_read(whole)


PIECES = st.binary(max_size=4) | st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b'"',
        b"\\",
        b":",
        b",",
        b"null",
        b"{}",
        b"1",
        b"-",
        b"\\ud800",
        b"/28",
        b"e9",
    ]
)


@st.composite
def cut_up(draw: st.DrawFn) -> bytes:
    """A body in which up to three pieces of text are replaced by others."""
    body = json.dumps(draw(bodies()).json).encode()
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(body)))
        end = begin + draw(st.sampled_from([0, 0, 1, 2, 40, 10_000]))
        body = body[:begin] + draw(PIECES) + body[end:]
    return body


@given(cut_up())
@settings(max_examples=500)
def test_a_body_that_was_cut_up_is_refused_or_means_what_json_says(body: bytes) -> None:
    said = outcome(body)
    if isinstance(said, Introspection):
        # Texts that nobody reads need not be UTF-8.
        assert said == plainly_read(json.loads(body.decode(errors="replace")))


@given(st.one_of(st.binary(max_size=200), JUNK.map(lambda it: json.dumps(it).encode())))
@settings(max_examples=300)
def test_whatever_a_node_sends_is_read_or_refused_in_a_few_words(body: bytes) -> None:
    outcome(body)
    try:
        assert 0 < len(decode_eniconfig(body)) <= 253
    except FetchFailed as failed:
        briefly(failed)


@given(bodies(), st.data())
@settings(max_examples=100)
def test_the_states_of_any_body_fit_what_is_attached(made: Made, data: st.DataObject) -> None:
    now = NOW + data.draw(st.floats(-1e6, 1e6))
    cooldown = data.draw(st.floats(0, 1e5))
    for eni in parse_enis(json.dumps(made.json).encode(), now, cooldown=cooldown).enis:
        assert eni.warm >= 0
        assert min(eni.attached, eni.assigned, eni.cooldown, eni.prefixes) >= 0


@pytest.mark.parametrize("depth", [10, 900, 5_000, 200_000])
def test_no_depth_of_nesting_ends_the_program(depth: int) -> None:
    for left, right in ((b'{"0":', b"}"), (b"[", b"]"), (b'{"0":{"ENIs":{"eni-1":[', b"]}}}")):
        assert isinstance(outcome(left * depth + b"1" + right * depth), FetchFailed)
        assert isinstance(outcome(left * depth), FetchFailed)
