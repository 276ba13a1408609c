"""Calls EC2's operations, page by page; it blocks, so it runs on threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporter.aws import Account, Requests, Service, UnderWay, Use
from exporter.aws.errors import Malformed
from exporter.core.model import Unavailable
from exporter.inputs.ec2.enis import hand_over
from exporter.inputs.ec2.operations import OPERATIONS, SYSTEM

# EC2 API reference: the most items on a page, and the most values of a filter.
PAGE_SIZE = 1000
_PAGE_SIZES = {"DescribeInstanceTypes": 100}
_MAX_VALUES = 200
# Two million ENIs: no VPC has so many.
_MOST_PAGES = 2_000


class Calls:
    """Reads the answers of EC2's operations to their last page."""

    def __init__(self, account: Account) -> None:
        # ENIs are left to our own parser.
        use = Use(service=SYSTEM, operations=OPERATIONS, prepare=hand_over)
        self._service = Service(account, use)

    def requests(self) -> Requests:
        """Return how many requests there were, by service, operation and outcome."""
        return self._service.requests()

    def close(self) -> None:
        """Close idle connections."""
        self._service.close()

    def filtered(
        self, under_way: UnderWay, operation: str, name: str, values: Sequence[str], **more: Any
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of what matches any of the values, however many these are."""
        others = more.pop("Filters", [])
        for start in range(0, len(values), _MAX_VALUES):
            wanted = {"Name": name, "Values": list(values[start : start + _MAX_VALUES])}
            yield from self.pages(under_way, operation, Filters=[wanted, *others], **more)

    def pages(
        self, under_way: UnderWay, operation: str, **request: Any
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of an answer, until it is given up."""
        request["MaxResults"] = _PAGE_SIZES.get(operation, PAGE_SIZE)
        used: set[str] = set()
        while True:
            if under_way.given_up:
                raise Unavailable(SYSTEM, "given up")
            page = self._service.call(operation, **request)
            under_way.goes_on()
            yield page
            token = page.get("NextToken", "")
            if not token:
                return
            if token in used or len(used) == _MOST_PAGES:
                raise Malformed(SYSTEM, f"{operation}: pages without an end")
            used.add(token)
            request["NextToken"] = token
