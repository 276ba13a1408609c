"""What holds of every pool, whatever its settings, its pods and EC2's mood."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from exporter.core.pool import (
    AssignPrivateIpAddresses,
    CreateNetworkInterface,
    Granted,
    Limits,
    Refused,
    Rules,
    Settings,
    UnassignPrivateIpAddresses,
    settle,
)
from tests.core.test_pool_histories import (
    CALM,
    EVENTS,
    History,
    Subnet,
    calm_histories,
    held_in_ec2,
    histories,
    never_refusing,
    pods_of,
    usable_addresses,
)

ALLOCATIONS = AssignPrivateIpAddresses | CreateNetworkInterface


@budget(max_examples=150, deadline=None)
@given(histories(), EVENTS)
def test_no_address_is_lost_or_doubled_whatever_ec2_refuses(
    history: History, events: list[str]
) -> None:
    for event in events:
        history.live(event)
        pool, subnet = history.pool, history.subnet
        leaked = sum(eni.subnet_addresses for eni in pool.leaked)
        assert held_in_ec2(pool) == subnet.books
        assert {eni.id for eni in (*pool.enis, *pool.unadopted)} == set(subnet.attached)
        assert pool.subnet_addresses + leaked == subnet.taken
        assert pods_of(pool) == history.pods


@budget(max_examples=100, deadline=None)
@given(histories(), EVENTS)
def test_addresses_are_assigned_warm_or_in_cooldown(history: History, events: list[str]) -> None:
    rules = history.rules
    for event in events:
        history.live(event)
        counted = history.pool.addresses(history.now, rules.cooldown)
        everywhere = replace(
            history.pool, enis=tuple(replace(e, excluded=False) for e in history.pool.enis)
        )
        cooling = sum(
            a.pod is None and history.now - a.unassigned_at <= rules.cooldown
            for eni in history.pool.enis
            for cidr in eni.cidrs
            for a in cidr.addresses
        )
        assert counted.assigned == len(history.pods)
        assert counted.warm == len(usable_addresses(everywhere, rules, history.now))
        assert counted.cooldown == cooling
        assert counted.attached == history.pool.attached


@budget(max_examples=100, deadline=None)
@given(calm_histories(st.integers(1, 300)), CALM)
def test_enis_and_addresses_stay_within_the_limits(history: History, events: list[str]) -> None:
    limit = history.rules.max_enis - history.rules.wants_trunk
    for event in events:
        history.live(event)
        enis = history.pool.enis
        assert len(enis) <= max(1, limit)
        assert all(len(eni.cidrs) <= history.rules.slots for eni in enis)
        assert not (history.rules.custom_networking and enis[0].cidrs)


@budget(max_examples=100, deadline=None)
@given(histories(), EVENTS)
def test_a_step_allocates_at_most_once_and_never_during_a_back_off(
    history: History, events: list[str]
) -> None:
    for event in events:
        before, calls = history.pool, len(history.subnet.log)
        history.live(event)
        new = history.subnet.log[calls:]
        allocated = [request for _, request, _ in new if isinstance(request, ALLOCATIONS)]
        successes = [
            request
            for _, request, answer in new
            if isinstance(request, ALLOCATIONS) and isinstance(answer, Granted)
        ]
        backing_off = event != "restart" and history.now - before.backed_off_at <= 120
        assert len(successes) <= 1
        assert not (backing_off and allocated)


@budget(max_examples=100, deadline=None)
@given(calm_histories(st.integers(1, 300)), CALM)
def test_cidrs_are_given_back_every_30_seconds_at_most(history: History, events: list[str]) -> None:
    for event in events:
        history.live(event)
    times = sorted(
        {
            at
            for at, request, _ in history.subnet.log
            if isinstance(request, UnassignPrivateIpAddresses)
        }
    )
    assert all(later - earlier >= 30 for earlier, later in pairwise(times))


@budget(max_examples=100, deadline=None)
@given(histories(), EVENTS)
def test_every_call_and_every_refusal_is_counted(history: History, events: list[str]) -> None:
    for event in (event for event in events if event != "restart"):
        history.live(event)
    calls: dict[str, int] = {}
    refusals: dict[tuple[str, str], int] = {}
    for _, request, answer in history.subnet.log:
        operation = type(request).__name__
        calls[operation] = calls.get(operation, 0) + 1
        if isinstance(answer, Refused):
            key = (operation, answer.error)
            refusals[key] = refusals.get(key, 0) + 1
    assert history.pool.tally.calls == calls
    assert history.pool.tally.refusals == refusals


@budget(max_examples=150, deadline=None)
@given(calm_histories(st.integers(1, 300)), CALM)
def test_a_pool_at_rest_stays_there_and_a_flapping_one_returns(
    history: History, events: list[str]
) -> None:
    for event in events:
        history.live(event)
    settled = settle(history.pool, history.rules, now=history.now, ec2=history.subnet)

    again = settle(settled.pool, history.rules, now=settled.now, ec2=history.subnet)

    assert held_in_ec2(again.pool) == history.subnet.books
    assert again.flapping is settled.flapping
    assert again.pool.subnet_addresses == settled.pool.subnet_addresses
    assert settled.flapping or again.pool.enis == settled.pool.enis


@pytest.mark.parametrize("pods", range(28))
@pytest.mark.parametrize("seed", range(3))
def test_a_pool_rests_as_large_wherever_its_pods_sit(pods: int, seed: int) -> None:
    limits = Limits(enis=3, ipv4_per_eni=10, max_pods=29)
    history = History(
        Rules.of(Settings(warm_ip=2, minimum_ip=12), limits),
        Subnet(limits, 1000, never_refusing()),
        random.Random(seed),
    )
    for _ in range(20):
        history.tick(121)
    for _ in range(pods):
        history.arrive()
        for _ in range(4):
            history.tick(121)

    assert len(history.pods) == pods
    assert history.pool.attached == min(27, max(12, pods + 2))
