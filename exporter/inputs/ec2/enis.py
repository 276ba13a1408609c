"""Parses an answer of DescribeNetworkInterfaces in one pass of expat, as its chunks go by (ADR 10).

What is not well-formed, or lacks what every ENI has, is `Malformed` as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from socket import AF_INET, inet_pton
from typing import Any
from xml.parsers import expat

from exporter.aws.errors import Malformed
from exporter.core.model import Eni
from exporter.inputs.ec2.operations import SYSTEM
from exporter.inputs.ec2.tags import is_kept

OPERATION = "DescribeNetworkInterfaces"
_ROOT = "DescribeNetworkInterfacesResponse"
_ADDRESSES = "privateIpAddressesSet"
_CREATED = "node.k8s.amazonaws.com/createdAt"
# What botocore's own parser is left with, where ours has read the answer.
_NOTHING = b"<DescribeNetworkInterfacesResponse/>"
# Takes half a millisecond, in which the event loop has to wait.
_CHUNK_BYTES = 32 * 1024

# How deep in the document the parts are that have a meaning here.
_SET, _ENI, _FIELD, _MEMBER, _MEMBER_FIELD = 2, 3, 4, 5, 6


@dataclass(frozen=True, slots=True)
class EniPage:
    """One page of an answer; `following` is the token of the next one, empty after the last."""

    enis: tuple[Eni, ...]
    vpc_ids: frozenset[str]
    following: str = ""


def hand_over(client: Any) -> None:
    """Have a client's ENIs read by our own parser, put into its answers as `Page`."""
    client.meta.events.register(f"before-parse.ec2.{OPERATION}", _parse)


def _parse(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    if response_dict["status_code"] < 300:
        page = parse_enis(response_dict["body"])
        response_dict["body"] = _NOTHING
        customized_response_dict.update(Page=page, NextToken=page.following)


def parse_enis(body: bytes) -> EniPage:
    """Return what an answer holds, letting other threads run between its chunks."""
    page = _Page()
    chunks = memoryview(body)
    try:
        for start in range(0, len(body), _CHUNK_BYTES):
            page.feed(chunks[start : start + _CHUNK_BYTES])
            time.sleep(0)
        return page.ended()
    except (expat.ExpatError, LookupError, ValueError, OSError) as error:
        raise Malformed(SYSTEM, f"{OPERATION}: malformed answer") from error
    finally:
        page.close()


class _Page:
    """What has been read of a page so far; expat calls its methods."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._text: list[str] = []
        # A list's own method is called without a frame of Python's: this is the hottest path.
        self._parser.CharacterDataHandler = self._text.append
        self._depth = 0
        self._set = ""
        self._field = ""
        self._seen_set = False
        self._enis: list[Eni] = []
        self._following = ""
        self._vpc_ids: set[str] = set()
        # Equal strings of a page are one object.
        self._strings: dict[str, str] = {}
        self._begin_eni()

    def _begin_eni(self) -> None:
        self._fields: dict[str, str] = {}
        self._attachment: dict[str, str] = {}
        self._addresses: list[int] = []
        self._prefixes: list[int] = []
        self._tags: dict[str, str] = {}
        self._member: dict[str, str] = {}

    def feed(self, chunk: memoryview) -> None:
        """Take a part of the body in."""
        self._parser.Parse(chunk, False)

    def ended(self) -> EniPage:
        """Return the page, of which everything must have been fed."""
        self._parser.Parse(b"", True)
        if not self._seen_set:
            raise ValueError("no set of ENIs")
        return EniPage(tuple(self._enis), frozenset(self._vpc_ids), self._following)

    def close(self) -> None:
        """Let go of the parser, which refers back to this object."""
        self._parser.StartElementHandler = self._parser.EndElementHandler = None

    def _start(self, name: str, _attributes: object) -> None:
        self._text.clear()
        self._depth += 1
        depth = self._depth
        if depth == _FIELD:
            self._field = name
            if name == _ADDRESSES:
                self._parser.StartElementHandler = None
                self._parser.EndElementHandler = self._end_in_addresses
        elif depth == _ENI:
            self._begin_eni()
        elif depth == _SET:
            self._set = name
            self._seen_set = self._seen_set or name == "networkInterfaceSet"
        elif depth == 1 and name != _ROOT:
            raise ValueError("another kind of document")

    def _end(self, name: str) -> None:
        depth = self._depth
        self._depth = depth - 1
        if depth == _FIELD:
            self._fields[name] = "".join(self._text)
        elif depth == _MEMBER_FIELD:
            self._member[name] = "".join(self._text)
        elif depth == _MEMBER:
            self._end_member(name)
        elif depth == _ENI and self._set == "networkInterfaceSet":
            self._enis.append(self._eni())
            self._vpc_ids.add(self._shared(self._fields.get("vpcId", "")))
        elif depth == _SET and name == "nextToken":
            self._following = "".join(self._text)

    def _end_in_addresses(self, name: str) -> None:
        """Take an address; nothing else in its set matters, and no other element is as frequent."""
        if name == "privateIpAddress":
            self._addresses.append(_number("".join(self._text).strip()))
        elif name == _ADDRESSES:
            self._depth -= 1
            self._parser.StartElementHandler = self._start
            self._parser.EndElementHandler = self._end
        self._text.clear()

    def _end_member(self, name: str) -> None:
        if self._field == "attachment":
            self._attachment[name] = "".join(self._text)
        elif self._field == "tagSet":
            key = self._member["key"]
            if is_kept(key):
                self._tags[self._shared(key)] = self._shared(self._member.get("value", ""))
        elif self._field == "ipv4PrefixSet":
            self._prefixes.append(_prefix(self._member["ipv4Prefix"]))
        self._member = {}

    def _shared(self, text: str) -> str:
        return self._strings.setdefault(text, text)

    def _eni(self) -> Eni:
        fields, attachment = self._fields, self._attachment
        index = attachment.get("deviceIndex")
        return Eni(
            id=_required(fields, "networkInterfaceId"),
            subnet_id=self._shared(_required(fields, "subnetId")),
            status=self._shared(_required(fields, "status")),
            interface_type=self._shared(_required(fields, "interfaceType")),
            description=self._shared(fields.get("description", "")),
            requester_id=self._shared(fields.get("requesterId", "")),
            requester_managed=fields.get("requesterManaged") == "true",
            owner_id=self._shared(fields.get("ownerId", "")),
            instance_id=self._shared(attachment.get("instanceId", "")),
            instance_owner_id=self._shared(attachment.get("instanceOwnerId", "")),
            attached=attachment.get("status") == "attached",
            device_index=None if index is None else int(index),
            network_card=int(attachment.get("networkCardIndex", "0")),
            addresses=_primary_first(self._addresses, fields.get("privateIpAddress", "")),
            prefixes=tuple(self._prefixes),
            tags=self._tags or _NO_TAGS,
            created=_time(self._tags.get(_CREATED, "")),
        )


_NO_TAGS: Mapping[str, str] = {}


def _refuse_doctype(*_: Any) -> None:
    raise ValueError("a document type declaration")


def _required(fields: Mapping[str, str], name: str) -> str:
    if not fields[name]:
        raise ValueError(f"an empty {name}")
    return fields[name]


def _number(address: str) -> int:
    return int.from_bytes(inet_pton(AF_INET, address))


def _prefix(cidr: str) -> int:
    address, _, length = cidr.partition("/")
    if length != "28":
        raise ValueError("a prefix that is no /28")
    return _number(address)


def _primary_first(addresses: list[int], primary: str) -> tuple[int, ...]:
    if not primary:
        return tuple(addresses)
    first = _number(primary)
    if addresses and addresses[0] == first:
        return tuple(addresses)
    return (first, *(address for address in addresses if address != first))


def _time(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None
