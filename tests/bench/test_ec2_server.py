from __future__ import annotations

from collections import Counter

from bench.ec2_server import ADDRESSES, Machine, filled, made_up
from exporter.inputs.ec2.enis import parse_enis
from exporter.sim.ec2_actions import Ec2

MACHINES = [
    Machine(f"i-{number}", "m5.large", f"eu-central-1{'ab'[number % 2]}") for number in range(6)
]


def test_enis_of_fifteen_addresses_are_spread_evenly_over_the_instances() -> None:
    vpc = filled(MACHINES, 20)
    attached = [eni.attachment for eni in vpc.enis.values()]
    held = Counter(it.instance for it in attached if it is not None)
    assert held == {"i-0": 4, "i-1": 4, "i-2": 3, "i-3": 3, "i-4": 3, "i-5": 3}
    assert {eni.subnet_addresses for eni in vpc.enis.values()} == {ADDRESSES}
    assert {it.device for it in attached if it is not None and it.instance == "i-0"} == {0, 1, 2, 3}


def test_an_instance_has_its_enis_in_subnets_of_its_own_zone() -> None:
    vpc = filled(MACHINES, 20)
    zones = {machine.id: machine.zone for machine in MACHINES}
    assert all(
        eni.attachment is not None
        and vpc.subnets[eni.subnet].zone == zones[eni.attachment.instance]
        for eni in vpc.enis.values()
    )


def test_there_are_as_many_subnets_as_the_addresses_need() -> None:
    assert len(filled(list(made_up(3)), 30).subnets) == 3
    vpc = filled(MACHINES, 8_100)
    assert len(vpc.subnets) == 4
    assert {len(subnet.reservations) for subnet in vpc.subnets.values()} == {2}


def test_what_it_answers_is_what_the_exporter_takes_for_the_enis_of_nodes() -> None:
    ec2 = Ec2(filled(MACHINES, 12))
    fields = {"Action": "DescribeNetworkInterfaces", "MaxResults": "1000"}
    page = parse_enis(ec2.actions[fields["Action"]].answer(fields, "1", empty=False))
    assert len(page.enis) == 12
    assert {eni.instance_id for eni in page.enis} == {machine.id for machine in MACHINES}
    assert {len(eni.addresses) for eni in page.enis} == {ADDRESSES}
    assert {eni.tags["cluster.k8s.amazonaws.com/name"] for eni in page.enis} == {"sim"}
