"""CBOR against botocore's own, and against bytes that mean nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from botocore.parsers import RpcV2CBORParser
from hypothesis import given
from hypothesis import strategies as st

from exporter.sim.cbor import decode, encode


def items(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    )


def head(major: int, length: int) -> bytes:
    """The bytes that an item begins with (RFC 8949, section 3)."""
    if length < 24:
        return bytes([major << 5 | length])
    width = next(it for it in (1, 2, 4, 8) if length < 1 << 8 * it)
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + length.to_bytes(width, "big")


WRITTEN: dict[type, Callable[[Any], bytes]] = {
    bool: lambda item: bytes([0xF5 if item else 0xF4]),
    int: lambda item: head(0, item) if item >= 0 else head(1, -1 - item),
    float: lambda item: b"\xfb" + struct.pack(">d", item),
    bytes: lambda item: head(2, len(item)) + item,
    str: lambda item: head(3, len(item.encode())) + item.encode(),
    list: lambda item: head(4, len(item)) + b"".join(map(written, item)),
    dict: lambda item: head(5, len(item)) + b"".join(map(written, chain(*item.items()))),
}


def written(item: Any) -> bytes:
    return WRITTEN[type(item)](item)


LEAVES = st.one_of(
    # Of None botocore makes nothing in a map.
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=300),
    st.binary(max_size=40),
)


def by_botocore(body: bytes) -> Any:
    parser = RpcV2CBORParser()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body))


@given(items(LEAVES))
def test_an_item_is_read_as_botocore_reads_it(item: Any) -> None:
    body = written(item)
    assert decode(body) == by_botocore(body) == item


@pytest.mark.parametrize(
    ("body", "item"),
    [
        pytest.param("9f01820203ff", [1, [2, 3]], id="a list of open length"),
        pytest.param("bf61619fffff", {"a": []}, id="a map of open length"),
        pytest.param("7f657374726561646d696e67ff", "streaming", id="a text in parts"),
        pytest.param("5f42010243030405ff", b"\x01\x02\x03\x04\x05", id="bytes in parts"),
        pytest.param("c11a514b67b0", 1363896240, id="a time"),
        pytest.param("f93e00", 1.5, id="a half"),
        pytest.param("fa47c35000", 100000.0, id="a single"),
        pytest.param("f6", None, id="null"),
        pytest.param("f7", None, id="undefined"),
    ],
)
def test_what_the_rfc_shows_is_read(body: str, item: Any) -> None:
    assert decode(bytes.fromhex(body)) == item


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("19", id="a number without its bytes"),
        pytest.param("6261", id="half a text"),
        pytest.param("0101", id="one item too many"),
        pytest.param("1c", id="no such width"),
        pytest.param("e0", id="no such simple value"),
        pytest.param("7f01ff", id="a text made of numbers"),
        pytest.param("61ff", id="no UTF-8"),
        pytest.param("81" * 40 + "00", id="too deep"),
        pytest.param("9f01", id="no break"),
    ],
)
def test_what_is_no_item_is_refused(body: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        decode(bytes.fromhex(body))


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=300), max_size=3))
def test_an_answer_is_read_by_botocore(texts: dict[str, str]) -> None:
    assert by_botocore(encode(texts)) == texts
