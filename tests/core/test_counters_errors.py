"""When the errors of AWS last gained on each node, for as long as that is recent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.counters import (
    AWS_API_ERRORS,
    AWS_ERRORS,
    RECENT_SECONDS,
    Ledger,
    Series,
    advance,
    index_of,
)
from exporter.core.model import Outcome
from tests.builders import LONG_AGO, NOW, node, pod, read, reading, target, unread

CREATE, ASSIGN = "CreateNetworkInterface", "AssignPrivateIpAddresses"
FULL, NO_BLOCK = "InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks"
Met = dict[tuple[str, str], float]


def saying(errors: Met, by: str = "node-1", started: float = LONG_AGO) -> Outcome:
    """A reading that counted so many errors of an API and a code."""
    said = {Series(AWS_API_ERRORS, error): count for error, count in errors.items()}
    return read(by, reading(started=started, said=said))


def after(*polls: tuple[float, tuple[Outcome, ...]]) -> Ledger:
    ledger = Ledger()
    for seconds, outcomes in polls:
        ledger = advance(ledger, outcomes, NOW + seconds)
    return ledger


NOTHING = (0.0, (saying({}),))


def test_an_error_that_gains_is_noted_with_the_time_its_cycle_began() -> None:
    found = after(NOTHING, (30.0, (saying({(CREATE, FULL): 2, (ASSIGN, NO_BLOCK): 1}),)))
    assert found.errors == {"node-1": {(CREATE, FULL): NOW + 30, (ASSIGN, NO_BLOCK): NOW + 30}}


def test_each_error_is_noted_anew_when_it_gains_again() -> None:
    found = after(
        NOTHING,
        (30.0, (saying({(CREATE, FULL): 2, (ASSIGN, FULL): 1}),)),
        (60.0, (saying({(CREATE, FULL): 2, (ASSIGN, FULL): 3}),)),
    )
    assert found.errors == {"node-1": {(CREATE, FULL): NOW + 30, (ASSIGN, FULL): NOW + 60}}


@pytest.mark.parametrize(
    ("seconds", "recent"),
    [
        pytest.param(30.0, True, id="in the same cycle"),
        pytest.param(149.999, True, id="a moment before two minutes"),
        pytest.param(150.0, True, id="after two minutes"),
        pytest.param(150.001, False, id="a moment more"),
        pytest.param(4_000.0, False, id="long after"),
        pytest.param(29.0, False, id="before it, by a clock that was set back"),
    ],
)
def test_an_error_is_recent_for_two_minutes(seconds: float, recent: bool) -> None:
    same = (saying({(CREATE, FULL): 2}),)
    found = after(NOTHING, (30.0, same), (seconds, same))
    assert found.errors == ({"node-1": {(CREATE, FULL): NOW + 30}} if recent else {})
    assert RECENT_SECONDS == 120.0


def test_an_error_stays_recent_while_its_node_is_not_read() -> None:
    found = after(NOTHING, (30.0, (saying({(CREATE, FULL): 2}),)), (60.0, (unread(),)))
    assert found.errors == {"node-1": {(CREATE, FULL): NOW + 30}}


def test_the_errors_of_a_node_that_is_not_expected_any_more_are_forgotten() -> None:
    here, gone = saying({(CREATE, FULL): 2}), saying({(CREATE, FULL): 3}, by="node-2")
    nothing = (0.0, (saying({}), saying({}, by="node-2")))
    both = after(nothing, (30.0, (here, gone)))
    assert both.errors.keys() == {"node-1", "node-2"}
    assert advance(both, (here,), NOW + 60).errors == {"node-1": {(CREATE, FULL): NOW + 30}}


def test_what_a_pod_had_counted_when_it_was_first_seen_is_a_baseline() -> None:
    old = saying({(CREATE, FULL): 7})
    assert after((0.0, (old,)), (30.0, (old,))).errors == {}


def test_a_pod_that_began_under_our_eyes_has_met_all_its_errors_lately() -> None:
    newcomer = target(node(), pod("new"))
    said = {Series(AWS_API_ERRORS, (CREATE, FULL)): 1.0}
    replaced = read(newcomer, reading(started=NOW + 20, said=said))
    found = after((0.0, (saying({(CREATE, NO_BLOCK): 4}),)), (30.0, (replaced,)))
    assert found.errors == {"node-1": {(CREATE, FULL): NOW + 30}}


def test_a_restart_counts_from_zero_and_what_is_at_zero_did_not_gain() -> None:
    before = saying({(CREATE, FULL): 7, (ASSIGN, FULL): 7})
    again = saying({(CREATE, FULL): 1, (ASSIGN, FULL): 0}, started=NOW + 10)
    found = after((0.0, (before,)), (30.0, (again,)))
    assert found.errors == {"node-1": {(CREATE, FULL): NOW + 30}}


@pytest.mark.parametrize("error", [*AWS_ERRORS, "InvalidSubnetID.NotFound"])
def test_the_known_codes_are_noted_and_no_others(error: str) -> None:
    found = after(NOTHING, (30.0, (saying({(CREATE, error): 1}),)))
    assert found.errors == ({"node-1": {(CREATE, error): NOW + 30}} if error in AWS_ERRORS else {})


def test_an_operation_that_is_not_known_is_noted_as_other() -> None:
    found = after(NOTHING, (30.0, (saying({("RebootInstances", FULL): 1}),)))
    assert found.errors == {"node-1": {("other", FULL): NOW + 30}}


ERRORS = ((CREATE, FULL), (ASSIGN, FULL), (CREATE, NO_BLOCK))
# What each poll of a node counted more of, and None where it was not read.
histories = st.lists(
    st.lists(st.none() | st.tuples(*(st.integers(0, 1) for _ in ERRORS)), min_size=1, max_size=9),
    min_size=1,
    max_size=3,
)


@given(histories, st.sampled_from((30.0, 47.0, 60.0, 121.0)))
def test_the_recent_errors_are_those_whose_totals_gained_in_the_last_two_minutes(
    histories: list[list[tuple[int, ...] | None]], period: float
) -> None:
    polls = max(map(len, histories))
    alone = [Ledger() for _ in histories]
    wanted: list[Met] = [{} for _ in histories]
    counted = [dict.fromkeys(ERRORS, 0.0) for _ in histories]
    ledger = Ledger()
    for poll in range(polls):
        now, outcomes = NOW + poll * period, []
        for number, history in enumerate(histories):
            done = history[poll] if poll < len(history) else None
            for error, gain in zip(ERRORS, done or (0,) * len(ERRORS), strict=True):
                counted[number][error] += gain
            name = f"node-{number}"
            outcomes.append(
                unread(name) if done is None else saying(dict(counted[number]), by=name)
            )
            before = alone[number]
            alone[number] = advance(before, outcomes[-1:], now)
            for error in ERRORS:
                index = index_of(AWS_API_ERRORS, error)
                if alone[number].totals[index] > before.totals[index]:
                    wanted[number][error] = now
        ledger = advance(ledger, outcomes, now)
        recent = [{it: at for it, at in met.items() if now - at <= 120} for met in wanted]
        assert ledger.errors == {f"node-{i}": met for i, met in enumerate(recent) if met}
