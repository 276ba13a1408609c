"""How a pool comes to rest, shrinks with its pods, or never rests."""

from __future__ import annotations

import pytest

from exporter.core.pool import (
    Eni,
    Granted,
    Limits,
    Plenty,
    Pool,
    Refused,
    Request,
    Rules,
    Settings,
    Settled,
    assign,
    first,
    rest,
    settle,
    step,
    unassign,
)

M5_LARGE = Limits(enis=3, ipv4_per_eni=10, max_pods=29)
M5_LARGE_PREFIX = Limits(enis=3, ipv4_per_eni=10, max_pods=110)

DEFAULT = Settings()
WARM_2_MIN_12 = Settings(warm_ip=2, minimum_ip=12)
ONE_PREFIX = Settings(warm_prefix=1, prefix_delegation=True)


def test_a_minimum_alone_leaves_the_pod_beyond_it_without_an_address_for_ever() -> None:
    found = rest(Settings(minimum_ip=12), M5_LARGE, pods=13)

    assert (found.assigned, found.pods_without_address, found.total) == (12, 1, 12)


def test_pods_beyond_the_node_s_addresses_have_none() -> None:
    found = rest(DEFAULT, M5_LARGE, pods=30)

    assert (found.assigned, found.pods_without_address) == (27, 3)


def test_a_missing_trunk_keeps_its_slot_free() -> None:
    found = rest(Settings(pod_eni=True), M5_LARGE, pods=18)

    assert (found.cidrs, found.subnet_addresses) == ((9, 9), 20)


def test_unmanaged_enis_take_slots_and_an_address_each() -> None:
    found = rest(DEFAULT, M5_LARGE, pods=18, unmanaged=1)

    assert (found.enis, found.cidrs, found.subnet_addresses) == (3, (9, 9), 21)


def test_the_calls_that_led_to_rest_are_counted() -> None:
    assert rest(DEFAULT, M5_LARGE, pods=9).calls == {
        "AssignPrivateIpAddresses": 1,
        "CreateNetworkInterface": 1,
        "AttachNetworkInterface": 1,
        "ModifyNetworkInterfaceAttribute": 1,
    }


@pytest.mark.parametrize(
    ("settings", "pods", "largest"),
    [
        pytest.param(Settings(warm_eni=0), 9, (9, 9), id="every address is taken"),
        pytest.param(
            Settings(warm_eni=0, custom_networking=True), 0, (0, 9), id="no pods, primary unused"
        ),
        pytest.param(Settings(prefix_delegation=True), 16, (2,), id="prefixes without any target"),
    ],
)
def test_a_pool_without_a_fixed_point_flaps_and_shows_its_largest_state(
    settings: Settings, pods: int, largest: tuple[int, ...]
) -> None:
    found = rest(settings, M5_LARGE_PREFIX, pods=pods)

    assert (found.flapping, found.cidrs) == (True, largest)


def test_a_flapping_pool_stays_small_once_ec2_gives_no_more_enis() -> None:
    plenty = Plenty()

    def one_eni_ever(request: Request) -> Granted | Refused:
        answer = plenty(request)
        granted = answer.eni in {"", "eni-1"}
        return answer if granted else Refused("InsufficientFreeAddressesInSubnet")

    rules = Rules.of(Settings(warm_eni=0, custom_networking=True), M5_LARGE)
    settled = settle(Pool(enis=(Eni("eni-0", primary=True),)), rules, now=0, ec2=one_eni_ever)

    assert (settled.flapping, settled.pool.subnet_addresses) == (True, 1)


def test_no_warm_eni_rests_while_an_address_is_free() -> None:
    found = rest(Settings(warm_eni=0), M5_LARGE, pods=8)

    assert (found.cidrs, found.warm, found.flapping) == ((9,), 1, False)


@pytest.mark.parametrize(("pods", "flapping"), [(0, True), (1, False)])
def test_a_further_card_with_prefixes_gives_an_unused_one_back_and_asks_again(
    pods: int, flapping: bool
) -> None:
    rules = Rules.of(ONE_PREFIX, M5_LARGE, card=1)

    settled = settled_with(Pool(enis=()), rules, pods)

    assert settled.flapping is flapping


@pytest.mark.parametrize(("pods", "attached"), [(0, 1), (1, 2), (2, 3)])
def test_a_further_card_keeps_one_address_whatever_the_targets_are(
    pods: int, attached: int
) -> None:
    rules = Rules.of(Settings(warm_ip=5, minimum_ip=9), M5_LARGE, card=1)

    settled = settled_with(Pool(enis=()), rules, pods)

    assert (settled.pool.attached, settled.flapping) == (attached, False)


def settled_with(pool: Pool, rules: Rules, pods: int) -> Settled:
    ec2 = Plenty()
    settled = settle(pool, rules, now=0, ec2=ec2)
    for number in range(pods):
        given = assign(settled.pool, rules, pod=f"pod-{number}", now=settled.now, choose=first)
        assert given is not None
        settled = settle(given.pool, rules, now=settled.now, ec2=ec2)
    return settled


def without(settled: Settled, rules: Rules, pods: range) -> Settled:
    pool = settled.pool
    for number in pods:
        pool = unassign(pool, f"pod-{number}", now=settled.now)
    return settle(pool, rules, now=settled.now, ec2=Plenty())


def test_a_full_pool_keeps_all_until_a_whole_eni_and_the_warm_one_are_free() -> None:
    rules = Rules.of(DEFAULT, M5_LARGE)
    full = settled_with(Pool(enis=(Eni("eni-0", primary=True),)), rules, 27)

    at_ten = without(full, rules, range(10, 27))
    at_nine = without(at_ten, rules, range(9, 10))

    assert [len(eni.cidrs) for eni in at_ten.pool.enis] == [9, 9, 9]
    assert [len(eni.cidrs) for eni in at_nine.pool.enis] == [9, 9]
    assert (at_nine.pool.attached, at_nine.pool.subnet_addresses) == (18, 20)


def test_an_eni_with_a_pod_is_kept_however_few_there_are() -> None:
    rules = Rules.of(DEFAULT, M5_LARGE)
    full = settled_with(Pool(enis=(Eni("eni-0", primary=True),)), rules, 27)

    spread = without(full, rules, range(1, 26))

    assert [eni.assigned for eni in spread.pool.enis] == [1, 1]
    assert spread.pool.attached == 18


def test_prefixes_shrink_with_the_pods() -> None:
    rules = Rules.of(ONE_PREFIX, M5_LARGE_PREFIX)
    full = settled_with(Pool(enis=(Eni("eni-0", primary=True),)), rules, 40)

    assert full.pool.attached == 64
    assert without(full, rules, range(1, 40)).pool.attached == 32


def test_a_settled_pool_is_the_very_same_after_another_step() -> None:
    rules = Rules.of(WARM_2_MIN_12, M5_LARGE)
    settled = settled_with(Pool(enis=(Eni("eni-0", primary=True),)), rules, 5)

    after = step(settled.pool, rules, now=settled.now + 1e6, ec2=Plenty(), choose=first)

    assert after is settled.pool
