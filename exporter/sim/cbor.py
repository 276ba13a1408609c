"""As much of CBOR (RFC 8949) as CloudWatch's protocol speaks: read with care, written plainly."""

import struct
from collections.abc import Mapping
from typing import Any, NoReturn

_BREAK = 0xFF
_OPEN = 31
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOATS = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_DEEPEST = 16


def decode(body: bytes) -> Any:
    """Return the one item that these bytes are; ValueError where they are not one."""
    reader = _Reader(body)
    item = reader.item(0)
    if reader.at != len(body):
        raise ValueError("bytes after the item")
    return item


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.at = 0

    def item(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        major, info = self._head()
        match major:
            case 0 | 1:
                number = self._number(info)
                return number if major == 0 else -1 - number
            case 2 | 3:
                data = self._string(major, info)
                return data if major == 2 else data.decode()
            case 4:
                return [self.item(depth + 1) for _ in self._places(info)]
            case 5:
                return {self.item(depth + 1): self.item(depth + 1) for _ in self._places(info)}
            case 6:
                self._number(info)  # a tag says what kind of item follows: here always a time
                return self.item(depth + 1)
        return self._simple(info)

    def _head(self) -> tuple[int, int]:
        first = self._take(1)[0]
        return first >> 5, first & 31

    def _take(self, count: int) -> bytes:
        found = self._body[self.at : self.at + count]
        if len(found) < count:
            raise ValueError("cut off")
        self.at += count
        return found

    def _number(self, info: int) -> int:
        if info < 24:
            return info
        if info not in _WIDTHS:
            self._unknown()
        return int.from_bytes(self._take(_WIDTHS[info]), "big")

    def _string(self, major: int, info: int) -> bytes:
        if info != _OPEN:
            return self._take(self._number(info))
        parts = []
        for _ in self._places(info):
            kind, length = self._head()
            if kind != major:
                self._unknown()
            parts.append(self._take(self._number(length)))
        return b"".join(parts)

    def _places(self, info: int) -> Any:
        """Yield once per element, for those of open length until the break."""
        if info != _OPEN:
            yield from range(self._number(info))
            return
        while self._body[self.at : self.at + 1] != bytes([_BREAK]):
            yield None
        self.at += 1

    def _simple(self, info: int) -> Any:
        if info in _FLOATS:
            form, width = _FLOATS[info]
            return struct.unpack(form, self._take(width))[0]
        if info not in _SIMPLE:
            self._unknown()
        return _SIMPLE[info]

    def _unknown(self) -> NoReturn:
        raise ValueError("an item of no known kind")


def encode(texts: Mapping[str, str]) -> bytes:
    """Return a map of texts, which is all that CloudWatch answers here."""
    items = b"".join(_text(part) for pair in texts.items() for part in pair)
    return bytes([0xA0 | len(texts)]) + items


def _text(text: str) -> bytes:
    body = text.encode()
    return b"\x7a" + len(body).to_bytes(4, "big") + body
