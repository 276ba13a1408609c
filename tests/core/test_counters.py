from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.counters import (
    ADD_REQUESTS,
    ASSIGNMENT_FAILURES,
    AWS_API_ERRORS,
    AWS_API_MILLISECONDS,
    AWS_API_REQUESTS,
    AWS_API_TIMED_CALLS,
    AWS_ERRORS,
    DEL_REQUESTS,
    EC2_OPERATIONS,
    FAMILIES,
    OTHER,
    RECONCILES,
    SERIES,
    LastReading,
    Ledger,
    Series,
    Timings,
    advance,
    children,
    index_of,
)
from exporter.core.model import Outcome, Read, Reason, Target
from tests.builders import LONG_AGO, NOW, counts, node, pod, read, reading, target, unread

ADDS = Series(ADD_REQUESTS, ())
DELS = Series(DEL_REQUESTS, ("PodDeleted",))
FAILURES = Series(ASSIGNMENT_FAILURES, ())

Said = Mapping[Series, float]


def totals(ledger: Ledger) -> dict[Series, float]:
    """What the counters published, without those at 0."""
    return {SERIES[i]: value for i, value in enumerate(ledger.totals) if value}


def after(*polls: tuple[float, tuple[Outcome, ...]]) -> Ledger:
    ledger = Ledger()
    for now, outcomes in polls:
        ledger = advance(ledger, outcomes, now)
    return ledger


def said(
    what: Said,
    *,
    at: float = NOW,
    started: float | None = LONG_AGO,
    by: Target | str = "node-1",
) -> Read:
    return read(by, reading(time=at, started=started, said=what))


def on_node_1(uid: str) -> Target:
    return target(node(), pod(uid))


class TestTheNextReadingOfAPod:
    """Against one that said 100 ADDs and 10 DELs at NOW, from a process of `started`."""

    def gained(self, what: Said, *, started: float | None, before: float | None) -> Said:
        first = said({ADDS: 100, DELS: 10}, started=before)
        second = said(what, at=NOW + 30, started=started)
        return totals(after((NOW, (first,)), (NOW + 30, (second,))))

    @pytest.mark.parametrize(
        ("what", "gain"),
        [
            pytest.param({ADDS: 100, DELS: 10}, {}, id="nothing happened"),
            pytest.param({ADDS: 107, DELS: 10}, {ADDS: 7}, id="one grew"),
            pytest.param({ADDS: 107, DELS: 12}, {ADDS: 7, DELS: 2}, id="both grew"),
            pytest.param(
                {ADDS: 101, DELS: 10, FAILURES: 3}, {ADDS: 1, FAILURES: 3}, id="a new series"
            ),
            pytest.param(
                {ADDS: 101, DELS: 10, FAILURES: 0}, {ADDS: 1}, id="a new series that is at zero"
            ),
            pytest.param({ADDS: 4, DELS: 0}, {ADDS: 4}, id="all fell"),
            pytest.param({ADDS: 99, DELS: 40}, {ADDS: 99, DELS: 40}, id="one fell, one overtook"),
            pytest.param({ADDS: 120}, {ADDS: 120}, id="a series vanished"),
            pytest.param(
                {ADDS: 120, FAILURES: 2},
                {ADDS: 120, FAILURES: 2},
                id="a series vanished and another came",
            ),
            pytest.param({}, {}, id="all series vanished"),
        ],
    )
    def test_is_compared_series_by_series_and_any_fall_counts_all_of_them_from_zero(
        self, what: Said, gain: Said
    ) -> None:
        assert self.gained(what, started=LONG_AGO, before=LONG_AGO) == gain

    @pytest.mark.parametrize(
        ("before", "started", "restarted"),
        [
            pytest.param(LONG_AGO, LONG_AGO, False, id="same start"),
            pytest.param(LONG_AGO, NOW + 10, True, id="started after the previous reading"),
            pytest.param(LONG_AGO, NOW - 5, True, id="just within the clocks' slack"),
            pytest.param(LONG_AGO, NOW - 5.1, False, id="before it: a clock was set forward"),
            pytest.param(LONG_AGO, LONG_AGO + 3_600, False, id="an hour's clock correction"),
            pytest.param(LONG_AGO, LONG_AGO - 3_600, False, id="a clock was set back"),
            pytest.param(NOW - 4, NOW - 2, False, id="a wobble of 2 s on a young process"),
            pytest.param(NOW - 4, NOW - 1.9, True, id="more than a wobble on a young process"),
            pytest.param(NOW - 4, NOW - 6, False, id="a wobble the other way"),
            pytest.param(None, NOW + 10, False, id="the start was not known before"),
            pytest.param(LONG_AGO, None, False, id="the start is not known now"),
        ],
    )
    def test_is_of_a_new_process_where_its_start_moved_past_the_last_one(
        self, before: float | None, started: float | None, restarted: bool
    ) -> None:
        higher: Said = {ADDS: 130, DELS: 11}
        gain: Said = higher if restarted else {ADDS: 30, DELS: 1}
        assert self.gained(higher, started=started, before=before) == gain
        same: Said = {ADDS: 100, DELS: 10}
        assert self.gained(same, started=started, before=before) == (same if restarted else {})

    def test_that_lost_a_series_which_was_at_zero_is_of_the_same_process(self) -> None:
        first = said({ADDS: 100, DELS: 0})
        second = said({ADDS: 101}, at=NOW + 30)
        assert totals(after((NOW, (first,)), (NOW + 30, (second,)))) == {ADDS: 1}


@pytest.mark.parametrize(
    ("started", "gain"),
    [
        pytest.param(LONG_AGO, {}, id="it ran before"),
        pytest.param(None, {}, id="nobody knows since when it runs"),
        pytest.param(NOW, {}, id="it started as the previous poll began"),
        pytest.param(NOW + 0.1, {ADDS: 100}, id="it started after the previous poll"),
    ],
)
def test_a_pod_first_seen_counts_from_zero_only_if_it_started_since_the_previous_poll(
    started: float | None, gain: Said
) -> None:
    first = said({ADDS: 100}, at=NOW + 31, started=started)
    assert totals(after((NOW, ()), (NOW + 30, (first,)))) == gain


@pytest.mark.parametrize(
    ("started", "gain"),
    [
        pytest.param(NOW - 1, {}, id="it ran before the pod became a target"),
        pytest.param(NOW + 10, {ADDS: 100}, id="it started since the poll before that"),
        pytest.param(NOW + 40, {ADDS: 100}, id="it started after that"),
    ],
)
def test_a_pod_that_was_a_target_before_it_could_be_read_counts_what_began_meanwhile(
    started: float, gain: Said
) -> None:
    silent = unread("node-1", Reason.PENDING)
    first = said({ADDS: 100}, at=NOW + 90, started=started)
    ledger = after((NOW, ()), (NOW + 30, (silent,)), (NOW + 60, (silent,)), (NOW + 90, (first,)))
    assert totals(ledger) == gain


@pytest.mark.parametrize(
    ("started", "gain"),
    [
        pytest.param(NOW - 1, {}, id="it ran at the first poll"),
        pytest.param(NOW + 1, {ADDS: 100}, id="it started after it"),
    ],
)
def test_a_pod_that_was_silent_from_the_first_poll_on_counts_what_began_since(
    started: float, gain: Said
) -> None:
    first = said({ADDS: 100}, at=NOW + 60, started=started)
    ledger = after((NOW, (unread(),)), (NOW + 30, (unread(),)), (NOW + 60, (first,)))
    assert totals(ledger) == gain


@pytest.mark.parametrize(
    ("started", "gain"),
    [
        pytest.param(LONG_AGO, {}, id="a baseline"),
        pytest.param(NOW + 0.5, {ADDS: 100}, id="unless it started while the poll ran"),
    ],
)
def test_the_first_poll_ever_is_a_baseline(started: float, gain: Said) -> None:
    assert totals(after((NOW, (said({ADDS: 100}, at=NOW + 1, started=started),)))) == gain


def test_every_child_is_at_zero_before_the_first_poll() -> None:
    assert Ledger().totals == (0.0,) * len(SERIES)


def test_a_pod_that_was_not_read_keeps_its_baseline() -> None:
    ledger = after(
        (NOW, (said({ADDS: 100}),)),
        (NOW + 30, (unread(),)),
        (NOW + 60, (unread(),)),
        (NOW + 90, (said({ADDS: 130}, at=NOW + 90),)),
    )
    assert totals(ledger) == {ADDS: 30}


def test_a_pod_that_restarted_while_it_was_not_read_counts_from_zero() -> None:
    ledger = after(
        (NOW, (said({ADDS: 100}),)),
        (NOW + 30, (unread(),)),
        (NOW + 60, (said({ADDS: 130}, at=NOW + 60, started=NOW + 20),)),
    )
    assert totals(ledger) == {ADDS: 130}


def test_a_pod_that_was_not_listed_for_a_poll_is_forgotten() -> None:
    ledger = after((NOW, (said({ADDS: 100}),)), (NOW + 30, ()))
    assert ledger == Ledger(polled=NOW + 30)
    ledger = advance(ledger, (said({ADDS: 130}, at=NOW + 60),), NOW + 60)
    assert totals(ledger) == {}


def test_a_node_without_a_pod_forgets_the_pod_that_it_had() -> None:
    ledger = after((NOW, (said({ADDS: 100}),)), (NOW + 30, (unread(Target(node())),)))
    assert ledger == Ledger(polled=NOW + 30, failures={"node-1": 0.0})


@pytest.mark.parametrize(
    ("started", "gain"),
    [
        pytest.param(NOW + 10, {ADDS: 5}, id="its process is new"),
        pytest.param(LONG_AGO, {}, id="its process is older: a baseline"),
    ],
)
def test_a_pod_that_replaces_another_is_never_compared_with_it(started: float, gain: Said) -> None:
    old = said({ADDS: 3}, by=on_node_1("old"))
    new = said({ADDS: 5}, at=NOW + 30, started=started, by=on_node_1("new"))
    assert totals(after((NOW, (old,)), (NOW + 30, (new,)))) == gain


def test_pods_are_told_apart_by_uid_whatever_their_order() -> None:
    first = (said({ADDS: 100}, by="node-1"), said({ADDS: 7}, by="node-2"))
    second = (
        said({ADDS: 9}, at=NOW + 30, by="node-2"),
        said({ADDS: 101}, at=NOW + 30, by="node-1"),
    )
    assert totals(after((NOW, first), (NOW + 30, second))) == {ADDS: 3}


def test_assignment_failures_are_also_counted_per_node_across_its_pods() -> None:
    ledger = after(
        (NOW, (said({FAILURES: 5}, by=on_node_1("old")), said({FAILURES: 0}, by="node-2"))),
        (NOW + 30, (said({FAILURES: 7}, by=on_node_1("old")), said({FAILURES: 1}, by="node-2"))),
        (NOW + 60, (unread(Target(node()), Reason.NO_POD), unread("node-2"))),
        (
            NOW + 90,
            (
                said({FAILURES: 4, ADDS: 9}, started=NOW + 70, by=on_node_1("new")),
                unread("node-2"),
            ),
        ),
    )
    assert ledger.failures == {"node-1": 6.0, "node-2": 1.0}
    assert totals(ledger) == {FAILURES: 7, ADDS: 9}


def test_a_node_that_is_no_longer_expected_takes_its_failures_with_it_but_not_the_clusters() -> (
    None
):
    ledger = after(
        (NOW, (said({FAILURES: 5}),)), (NOW + 30, (said({FAILURES: 7}),)), (NOW + 60, ())
    )
    assert ledger.failures == {}
    assert totals(ledger) == {FAILURES: 2}


def test_what_is_kept_of_a_pod_is_its_last_reading_and_since_when_it_is_watched() -> None:
    last = said({ADDS: 2}, at=NOW + 31)
    assert after((NOW, (unread(),)), (NOW + 30, (last,)), (NOW + 60, (unread(),))) == Ledger(
        polled=NOW + 60,
        listed={"uid-node-1": NOW},
        last={"uid-node-1": LastReading(NOW + 31, LONG_AGO, counts({ADDS: 2}))},
        failures={"node-1": 0.0},
    )


class TestTheSeries:
    def test_are_every_child_of_every_family_once(self) -> None:
        assert list(SERIES) == [child for family in FAMILIES for child in children(family)]
        assert len(set(SERIES)) == len(SERIES)
        assert len({family.name for family in FAMILIES}) == len(FAMILIES)

    def test_have_a_folded_child_for_every_label(self) -> None:
        folded = [Series(family, (OTHER,) * len(family.labels)) for family in FAMILIES]
        assert set(folded) <= set(SERIES)

    def test_of_a_family_with_two_labels_are_all_pairs(self) -> None:
        (_, apis), (_, errors) = AWS_API_ERRORS.labels
        wanted = {(api, error) for api in (*apis, OTHER) for error in (*errors, OTHER)}
        assert {child.values for child in children(AWS_API_ERRORS)} == wanted

    def test_know_the_errors_that_alerts_are_about(self) -> None:
        assert set(AWS_ERRORS) >= {
            "AttachmentLimitExceeded",
            "InsufficientCidrBlocks",
            "InsufficientFreeAddressesInSubnet",
            "NetworkInterfaceLimitExceeded",
            "PrivateIpAddressLimitExceeded",
            "RequestLimitExceeded",
        }

    def test_leave_out_the_reconcile_that_counts_addresses_instead_of_repairs(self) -> None:
        assert RECONCILES.labels == (
            ("fn", ("eniIPPoolReconcileDel", "eniReconcileAdd", "eniReconcileDel")),
        )

    def test_of_timed_calls_have_a_twin_in_the_milliseconds(self) -> None:
        assert AWS_API_TIMED_CALLS.labels == AWS_API_MILLISECONDS.labels
        values = [child.values for child in children(AWS_API_MILLISECONDS)]
        spent, calls = (
            [index_of(family, it) for it in values]
            for family in (AWS_API_MILLISECONDS, AWS_API_TIMED_CALLS)
        )
        assert [*spent, *calls] == list(range(spent[0], spent[0] + 2 * len(values)))

    def test_of_api_calls_know_every_operation(self) -> None:
        assert AWS_API_REQUESTS.labels == (("api", EC2_OPERATIONS),)
        assert set(EC2_OPERATIONS) <= set(AWS_API_ERRORS.labels[0][1])

    @pytest.mark.parametrize("child", [pytest.param(it, id=it.family.name) for it in SERIES[::7]])
    def test_are_found_by_their_own_labels(self, child: Series) -> None:
        assert SERIES[index_of(child.family, child.values)] == child

    @pytest.mark.parametrize(
        ("labels", "folded"),
        [
            pytest.param(
                ("CreateTags", "RequestLimitExceeded"),
                ("CreateTags", "RequestLimitExceeded"),
                id="both known",
            ),
            pytest.param(
                ("CreateTags", "something with a request id 7f3a"),
                ("CreateTags", OTHER),
                id="unknown error",
            ),
            pytest.param(
                ("RunInstances", "RequestLimitExceeded"),
                (OTHER, "RequestLimitExceeded"),
                id="unknown call",
            ),
            pytest.param(("", ""), (OTHER, OTHER), id="empty"),
            pytest.param((OTHER, OTHER), (OTHER, OTHER), id="already folded"),
        ],
    )
    def test_fold_each_unknown_label_value_into_other(
        self, labels: tuple[str, str], folded: tuple[str, str]
    ) -> None:
        assert SERIES[index_of(AWS_API_ERRORS, labels)] == Series(AWS_API_ERRORS, folded)

    def test_refuse_a_wrong_number_of_labels(self) -> None:
        with pytest.raises(ValueError, match="zip"):
            index_of(AWS_API_ERRORS, ("CreateTags",))


# Histories: what really happened on some nodes, and what the pages of each poll showed of it.

PERIOD = 30.0
SOME = (ADDS, DELS, FAILURES, Series(AWS_API_ERRORS, (OTHER, OTHER)))


@dataclass(frozen=True)
class Moment:
    """One poll of one pod: did it answer, did it restart before, what was done, clock wobble."""

    answers: bool
    restarts: bool
    done: tuple[int, ...]
    wobble: float


@dataclass(frozen=True)
class Shown:
    """A page, and which of the pod's processes wrote it."""

    process: int
    at: float
    started: float
    values: Said


moments = st.builds(
    Moment,
    answers=st.booleans() | st.just(True),
    restarts=st.sampled_from((False, False, False, True)),
    done=st.tuples(*[st.integers(0, 3) for _ in SOME]),
    wobble=st.floats(-0.9, 0.9, allow_nan=False),
)
# When the pod comes up, counted in polls, and what befalls it from then on.
histories = st.lists(
    st.tuples(st.integers(0, 3), st.lists(moments, min_size=1, max_size=7)),
    min_size=1,
    max_size=4,
)


def shown(born: int, moments: list[Moment]) -> Iterator[Shown | None]:
    """What each poll shows of a pod from its birth on, None where it does not answer.

    A series has no sample before its first event, as in ipamd.
    """
    started = NOW - 3_600 if born == 0 else NOW + born * PERIOD - 20
    process, values = 0, dict.fromkeys(SOME, 0)
    for poll, moment in enumerate(moments, start=born):
        now = NOW + poll * PERIOD
        if moment.restarts:
            started, process, values = now - 10, process + 1, dict.fromkeys(SOME, 0)
        for series, gain in zip(SOME, moment.done, strict=True):
            values[series] += gain
        present = {series: float(value) for series, value in values.items() if value}
        yield Shown(process, now, started + moment.wobble, present) if moment.answers else None


def outcomes(all_shown: list[tuple[int, list[Shown | None]]], poll: int) -> tuple[Outcome, ...]:
    found: list[Outcome] = []
    for number, (born, pages) in enumerate(all_shown):
        if born <= poll < born + len(pages):
            page, where = pages[poll - born], target(f"node-{number}")
            found.append(
                unread(where)
                if page is None
                else said(page.values, at=page.at, started=page.started, by=where)
            )
    return tuple(found)


def published(all_shown: list[tuple[int, list[Shown | None]]]) -> list[Ledger]:
    polls = max(born + len(pages) for born, pages in all_shown)
    ledgers = [Ledger()]
    for poll in range(polls):
        now = NOW + poll * PERIOD
        ledgers.append(advance(ledgers[-1], outcomes(all_shown, poll), now))
    return ledgers


def truth(born: int, pages: list[Shown | None]) -> dict[Series, float]:
    """The last page of each process, less the baseline of the first where it ran before."""
    last: dict[int, Said] = {}
    first: Shown | None = None
    for page in pages:
        if page is not None:
            first = first or page
            last[page.process] = page.values
    gained = {series: sum(it.get(series, 0) for it in last.values()) for series in SOME}
    watched_since = NOW + max(born - 1, 0) * PERIOD
    if first is not None and not first.started > watched_since:
        gained = {it: value - first.values.get(it, 0) for it, value in gained.items()}
    return gained


@given(histories)
def test_the_totals_are_what_every_process_last_showed_less_the_baselines(
    histories: list[tuple[int, list[Moment]]],
) -> None:
    all_shown = [(born, list(shown(born, moments))) for born, moments in histories]
    wanted = [truth(born, pages) for born, pages in all_shown]
    summed = {series: sum(it[series] for it in wanted) for series in SOME}
    ledger = published(all_shown)[-1]
    assert totals(ledger) == {series: value for series, value in summed.items() if value}
    still_listed = {f"node-{i}": it[FAILURES] for i, it in enumerate(wanted)}
    assert ledger.failures == {name: still_listed[name] for name in ledger.failures}


@given(
    st.lists(
        st.lists(
            st.none()
            | st.tuples(
                st.none() | st.floats(NOW - 100, NOW + 300),
                st.dictionaries(st.sampled_from(SOME), st.integers(0, 5)),
            ),
            min_size=3,
            max_size=3,
        ),
        max_size=6,
    )
)
def test_totals_never_fall_whatever_pages_and_clocks_say(
    polls: list[list[tuple[float | None, Said] | None]],
) -> None:
    ledger = Ledger()
    for number, pages in enumerate(polls):
        now = NOW + number * PERIOD
        outcomes = tuple(
            unread(f"node-{i}")
            if page is None
            else said(page[1], at=now, started=page[0], by=f"node-{i}")
            for i, page in enumerate(pages)
        )
        before, ledger = ledger, advance(ledger, outcomes, now)
        assert all(map(float.__ge__, ledger.totals, before.totals))
        assert all(value >= before.failures.get(it, 0) for it, value in ledger.failures.items())


def test_the_same_pages_again_change_nothing_but_the_time() -> None:
    outcomes = (said({ADDS: 100, FAILURES: 2}), unread("node-2"))
    once = after((NOW, outcomes))
    again = advance(once, outcomes, NOW + 30)
    assert replace(again, polled=once.polled) == once


def timed(**apis: tuple[float, float]) -> Said:
    """Calls and milliseconds by API."""
    return {
        Series(family, (api,)): value
        for api, pair in apis.items()
        for family, value in zip((AWS_API_TIMED_CALLS, AWS_API_MILLISECONDS), pair, strict=True)
    }


class TestTheTimesOfCalls:
    def test_are_those_of_the_latest_cycle_with_the_means_of_each_node_and_api(self) -> None:
        first = (said(timed(GetMetadata=(10, 30))), said(timed(CreateTags=(1, 99)), by="node-2"))
        second = (
            said(timed(GetMetadata=(14, 32), CreateTags=(2, 700)), at=NOW + 30),
            said(timed(CreateTags=(3, 299)), at=NOW + 30, by="node-2"),
        )
        both = after((NOW, first), (NOW + 30, second))
        # 2 ms for 4 calls, 700 ms for 2, and on the other node 200 ms for 2.
        assert both.timings == Timings(8, 902, 0.5, 350)
        assert after((NOW, first)).timings is None
        assert advance(both, second, NOW + 60).timings is None

    def test_of_a_new_process_are_all_it_tells(self) -> None:
        before = said(timed(GetMetadata=(10, 30)))
        restarted = said(timed(GetMetadata=(2, 8)), at=NOW + 30, started=NOW + 10)
        assert after((NOW, (before,)), (NOW + 30, (restarted,))).timings == Timings(2, 8, 4, 4)

    def test_without_a_call_are_nobodys(self) -> None:
        before, now = timed(GetMetadata=(10, 30)), timed(GetMetadata=(10, 35))
        polls = (NOW, (said(before),)), (NOW + 30, (said(now, at=NOW + 30),))
        assert after(*polls).timings is None

    def test_that_a_page_tells_no_milliseconds_of_are_nothing(self) -> None:
        calls = Series(AWS_API_TIMED_CALLS, ("GetMetadata",))
        polls = (NOW, (said({calls: 1}),)), (NOW + 30, (said({calls: 3}, at=NOW + 30),))
        assert after(*polls).timings == Timings(2, 0, 0, 0)
