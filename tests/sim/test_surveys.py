"""Surveys of EC2 as the books count them, and which differences persist."""

from __future__ import annotations

import pytest

from exporter.sim.bodies import Persisting
from exporter.sim.ec2_surveys import Surveys
from exporter.sim.facts import Facts, series
from exporter.sim.ledger import LATELY_SECONDS, Ledger, Reader
from exporter.sim.vpc import Vpc

ENIS, SUBNETS = "DescribeNetworkInterfaces", "DescribeSubnets"
OF_VPC = {"Filter.1.Name": "vpc-id", "Filter.1.Value.1": "vpc-1"}
READER = Reader("pod-1", "node-1", 0.0)
REFUSED = series("awscni_aws_api_error_count", api="CreateTags", error="Denied")


@pytest.mark.parametrize(
    ("differences", "persists"),
    [
        ((), 0),
        ((5,), 0),
        ((5, 5), 5),
        ((5, 3), 3),
        ((-2, -7), -2),
        ((5, -5), 0),
        ((5, 0), 0),
        ((9, 0, 4), 0),
        ((9, 4, 7), 4),
    ],
)
def test_what_the_last_two_agree_on_persists(differences: tuple[int, ...], persists: int) -> None:
    kept = Persisting()
    for difference in differences:
        kept.add("pod", difference)
    assert kept.of("pod") == persists


def test_a_survey_is_a_whole_listing_of_a_vpc_with_the_subnets_after_it() -> None:
    surveys = Surveys(Vpc(lambda: 0.0))
    asked = [
        (SUBNETS, OF_VPC, b""),
        (ENIS, {"Filter.1.Name": "attachment.instance-id"}, b""),
        (SUBNETS, {}, b""),
        (ENIS, OF_VPC, b"<nextToken>more</nextToken>"),
        (SUBNETS, {}, b""),
        (ENIS, OF_VPC, b"<nextToken>more</nextToken>"),
        (ENIS, OF_VPC, b""),
        (SUBNETS, {}, b""),
        (SUBNETS, {}, b""),
    ]
    assert [surveys.heard(*it) for it in asked] == [*[False] * 7, True, False]
    assert surveys.count == 1
    surveys.forget()
    assert (surveys.count, surveys.drift()) == (0, {})


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_an_error_is_of_late_for_two_minutes_after_the_poll_that_showed_it() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    for count in (4.0, 5.0):
        ledger.served(READER, Facts(None, {REFUSED: count}, 0.0))
    assert ledger.errors("node-1") == {("CreateTags", "Denied")}
    assert (ledger.errors("node-2"), ledger.wavers("node-1")) == (set(), False)
    clock.now += LATELY_SECONDS - 1
    assert ledger.errors("node-1")
    assert ledger.wavers("node-1")
    clock.now += 2
    assert not ledger.errors("node-1")
    clock.now += 60
    assert not ledger.wavers("node-1")


def test_a_first_page_tells_of_no_error_of_late() -> None:
    ledger = Ledger(Clock())
    ledger.served(READER, Facts(None, {REFUSED: 4.0}, 0.0))
    assert ledger.errors("node-1") == set()
