from collections.abc import Mapping

import pytest

from exporter.sim.facts import Facts, Series, series
from exporter.sim.ledger import Ledger, Reader, Reading, restarted

ADD = series("awscni_add_ip_req_count")
OUT = series("awscni_no_available_ip_addresses")
ADDED = series("vpc_cni_cluster_add_requests_total")
LONG_AGO = 0.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def facts(counters: Mapping[Series, float], started: float = LONG_AGO) -> Facts:
    return Facts(None, dict(counters), started)


def reader(pod: str = "pod", appeared: float = LONG_AGO) -> Reader:
    return Reader(pod, "node", appeared)


def served(ledger: Ledger, *counts: float, started: float = LONG_AGO) -> Mapping[Series, float]:
    for count in counts:
        ledger.served(reader(), facts({ADD: count}, started))
    return ledger.gains()


def test_a_pod_first_read_is_a_baseline_and_its_gains_count_from_there() -> None:
    ledger = Ledger(Clock())
    assert served(ledger, 10) == {}
    assert served(ledger, 13, 13, 20) == {ADDED: 10}


def test_a_value_that_fell_counts_from_zero_for_every_series_of_the_pod() -> None:
    ledger = Ledger(Clock())
    ledger.served(reader(), facts({ADD: 10, OUT: 2}))
    ledger.served(reader(), facts({ADD: 30, OUT: 1}))
    assert ledger.gains() == {
        ADDED: 30,
        series("vpc_cni_cluster_ip_assignment_failures_total"): 1,
    }
    assert ledger.failures("node") == 1
    assert ledger.failures("another") == 0


@pytest.mark.parametrize(
    ("start", "new", "is_restart"),
    [
        pytest.param(101.9, {ADD: 12}, False, id="a wobble of less than 2 s"),
        pytest.param(994.9, {ADD: 12}, False, id="later, but before the last reading less 5 s"),
        pytest.param(995.0, {ADD: 12}, True, id="later than the last reading less 5 s"),
        pytest.param(98.0, {ADD: 12}, False, id="an earlier start"),
        pytest.param(100.0, {ADD: 9}, True, id="a value that fell"),
        pytest.param(100.0, {OUT: 3}, True, id="a series that vanished"),
        pytest.param(100.0, {ADD: 10, OUT: 3}, False, id="a new series"),
    ],
)
def test_a_restart_is_told_by_values_and_start_time(
    start: float, new: dict[Series, float], is_restart: bool
) -> None:
    last = Reading(facts({ADD: 10}, 100.0), time=1000.0)
    assert restarted(last, facts(new, start)) is is_restart


def test_a_series_new_on_a_known_process_counts_from_zero() -> None:
    ledger = Ledger(Clock())
    deleted = series("awscni_del_ip_req_count", reason="PodDeleted")
    ledger.served(reader(), facts({ADD: 10}))
    ledger.served(reader(), facts({ADD: 10, deleted: 4}))
    assert ledger.gains() == {series("vpc_cni_cluster_del_requests_total", reason="PodDeleted"): 4}


def test_a_process_started_since_the_pod_became_a_target_counts_from_zero() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    ledger.listed()
    clock.now = 1060.0
    ledger.served(reader("old"), facts({ADD: 5}, 900.0))
    ledger.served(reader("late"), facts({ADD: 7}, 1001.0))
    assert ledger.gains() == {ADDED: 7}


def test_a_pod_shown_after_its_process_started_is_a_baseline() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    ledger.listed()
    clock.now = 1060.0
    ledger.served(reader("hidden", appeared=1050.0), facts({ADD: 7}, 1001.0))
    assert ledger.gains() == {}


@pytest.mark.parametrize(("start", "gained"), [(1031.0, {ADDED: 7.0}), (1029.0, {})])
def test_a_process_started_since_the_previous_poll_counts_from_zero(
    start: float, gained: dict[Series, float]
) -> None:
    clock = Clock()
    ledger = Ledger(clock)
    for now in (1000.0, 1030.0, 1060.0):
        clock.now = now
        served(ledger, 5)
    ledger.served(reader("new", appeared=1055.0), facts({ADD: 7}, start))
    assert ledger.gains() == gained


def test_a_step_of_the_world_ends_a_poll() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    served(ledger, 5)
    clock.now = 1030.0
    ledger.stepped()
    ledger.stepped()
    ledger.served(reader("new", appeared=1025.0), facts({ADD: 7}, 1020.0))
    assert ledger.gains() == {ADDED: 7}


def test_labels_off_the_list_are_folded_and_latency_is_in_seconds() -> None:
    ledger = Ledger(Clock())
    ledger.served(reader(), facts({ADD: 0}))
    unheard = series("awscni_ipamd_error_count", fn="unheard")
    heard = series("awscni_ipamd_error_count", fn="decreaseIPPool")
    spent = series(
        "awscni_aws_api_latency_ms_sum", api="DescribeInstances", error="false", status="200"
    )
    cidrs = series("awscni_reconcile_count", fn="eniDataStorePoolReconcileAdd")
    new = {ADD: 0, unheard: 2, heard: 1, spent: 1500, cidrs: 99}
    ledger.served(reader(), facts(new))
    assert ledger.gains() == {
        series("vpc_cni_cluster_ipamd_errors_total", fn="other"): 2,
        series("vpc_cni_cluster_ipamd_errors_total", fn="decreaseIPPool"): 1,
        series("vpc_cni_cluster_aws_api_duration_seconds_sum", api="DescribeInstances"): 1.5,
    }


def test_a_ledger_that_forgets_begins_with_new_baselines() -> None:
    ledger = Ledger(Clock())
    served(ledger, 10, 20)
    ledger.forget()
    assert served(ledger, 30) == {}
    assert served(ledger, 31) == {ADDED: 1}
