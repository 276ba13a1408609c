"""One account for all services: whose credentials and which region, and when these change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from exporter.aws import Account, AwsConfig, Service, Use
from exporter.aws.errors import Untrusted
from exporter.core.model import Unavailable
from tests.inputs.aws_answers import REGION, Reply, aws, role
from tests.inputs.ec2_answers import FakeEc2, document, error, serving

__all__ = ["aws", "role"]

ASSUME = "AssumeRoleWithWebIdentity"
SUBNETS, TYPES = "DescribeSubnets", "DescribeInstanceTypes"


@pytest.fixture
def ec2(aws: pytest.MonkeyPatch) -> Iterator[FakeEc2]:
    always = {name: Reply(200, document(name, {})) for name in (SUBNETS, TYPES)}
    with serving(FakeEc2(always=always)) as ec2:
        aws.setenv("AWS_ENDPOINT_URL", ec2.url)
        yield ec2


@contextmanager
def services(account: Account) -> Iterator[list[Callable[[], object]]]:
    """Two services of one account, each as the one call that it knows."""
    use = Use(service="ec2", operations=(SUBNETS, TYPES))
    opened = {name: Service(account, use) for name in use.operations}
    yield [partial(service.call, name) for name, service in opened.items()]
    for service in opened.values():
        service.close()


def test_credentials_are_asked_for_once_by_all_services(ec2: FakeEc2, role: Path) -> None:
    role.write_text("a token")
    with services(Account(AwsConfig())) as (subnets, types):
        for _ in range(2):
            subnets()
            types()
    assert [action for action, _ in ec2.asked] == [ASSUME, SUBNETS, TYPES, SUBNETS, TYPES]


def test_credentials_that_one_service_does_not_take_are_renewed_for_all(
    ec2: FakeEc2, role: Path
) -> None:
    role.write_text("a token")
    with services(Account(AwsConfig(attempts=1))) as (subnets, types):
        types()
        ec2.instead[SUBNETS] = [error("AuthFailure", 401)]
        with pytest.raises(Untrusted):
            subnets()
        types()
        subnets()
    asked = [action for action, _ in ec2.asked]
    assert asked == [ASSUME, TYPES, SUBNETS, ASSUME, TYPES, SUBNETS]


def test_all_services_follow_the_region_of_the_nodes(ec2: FakeEc2, aws: pytest.MonkeyPatch) -> None:
    aws.delenv("AWS_REGION")
    told = [""]
    with services(Account(AwsConfig(region=lambda: told[-1]))) as (subnets, types):
        with pytest.raises(Unavailable, match="no region is known"):
            subnets()
        for region in (REGION, REGION, "us-east-1", ""):
            told.append(region)
            subnets()
            types()
    assert ec2.regions == [*[REGION] * 4, *["us-east-1"] * 4]
