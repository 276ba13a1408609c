"""What is common to every way of fetching: a body's encoding, its limit, and the failure."""

from __future__ import annotations

import gzip
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.model import Reason
from exporter.inputs.fetch import FetchFailed, decode_body

PAGE = b"awscni_eni_max 3\n" * 100
PACKED = gzip.compress(PAGE)


def failure(body: bytes, encoding: str, limit: int = 10_000) -> tuple[Reason, str]:
    with pytest.raises(FetchFailed) as caught:
        decode_body(body, encoding, limit)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_plain_body_is_left_as_it_is(encoding: str) -> None:
    assert decode_body(PAGE, encoding) is PAGE


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip"])
def test_a_gzipped_body_is_unpacked(encoding: str) -> None:
    assert decode_body(PACKED, encoding) == PAGE


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x" * 100])
def test_another_encoding_is_refused_by_its_name(encoding: str) -> None:
    detail = f"content encoding {encoding[:40]!r} was not asked for"

    assert failure(PAGE, encoding) == (Reason.MALFORMED, detail)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(b"x" * 10_001, "", id="plain"),
        pytest.param(gzip.compress(b"x" * 10_001), "gzip", id="gzip"),
        pytest.param(gzip.compress(b"x" * 50_000_000), "gzip", id="gzip bomb"),
        pytest.param(
            gzip.compress(Random(1).randbytes(20_000))[:-9], "gzip", id="gzip cut off past it"
        ),
    ],
)
def test_a_body_over_the_limit_is_refused(body: bytes, encoding: str) -> None:
    assert failure(body, encoding) == (
        Reason.TOO_LARGE,
        "more than 10000 bytes after gunzip" if encoding else "more than 10000 bytes",
    )


def test_a_body_of_just_the_limit_is_taken() -> None:
    assert decode_body(b"x" * 1_700, "", 1_700) == b"x" * 1_700
    assert decode_body(PACKED, "gzip", len(PAGE)) == PAGE


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        (b"", Reason.INCOMPLETE, "gzip stream was cut off"),
        (PACKED[:-1], Reason.INCOMPLETE, "gzip stream was cut off"),
        (PACKED[:20], Reason.INCOMPLETE, "gzip stream was cut off"),
        (PACKED + b"x", Reason.MALFORMED, "broken gzip: more after its end"),
        (PACKED + PACKED, Reason.MALFORMED, "broken gzip: more after its end"),
        (
            PAGE,
            Reason.MALFORMED,
            "broken gzip: Error -3 while decompressing data: incorrect header check",
        ),
        (
            PACKED[:-8] + b"\0" * 8,
            Reason.MALFORMED,
            "broken gzip: Error -3 while decompressing data: incorrect data check",
        ),
    ],
    ids=["empty", "cut in the end", "cut early", "more", "twice", "not gzip", "wrong checksum"],
)
def test_broken_gzip_is_refused(body: bytes, reason: Reason, detail: str) -> None:
    assert failure(body, "gzip") == (reason, detail)


@given(st.binary(max_size=200))
def test_any_bytes_packed_and_unpacked_are_themselves(body: bytes) -> None:
    assert decode_body(gzip.compress(body), "gzip", 200) == body


@given(st.binary(max_size=200))
def test_any_bytes_called_gzip_are_refused_for_what_they_are(body: bytes) -> None:
    assert failure(body, "gzip")[0] in (Reason.MALFORMED, Reason.INCOMPLETE)


def test_a_failure_reads_as_reason_and_detail() -> None:
    assert str(FetchFailed(Reason.TIMEOUT, "no answer")) == "timeout: no answer"
