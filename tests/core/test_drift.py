"""Differences between books, pages and EC2, and what of them lasts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.drift import Drift, Drifts, against_ec2, against_page
from exporter.core.model import Outcome, Target
from tests.builders import books, held, node, pod, read, reading, target, unread

SLASH_80 = 2**48


@pytest.mark.parametrize(
    ("before", "latest", "persistent"),
    [
        pytest.param(None, 5, 0, id="one comparison says nothing"),
        pytest.param(5, 5, 5, id="the same twice"),
        pytest.param(3, 16, 3, id="more than before"),
        pytest.param(16, 3, 3, id="less than before"),
        pytest.param(-16, -3, -3, id="less of what is missing"),
        pytest.param(-3, -16, -3, id="more of what is missing"),
        pytest.param(5, -5, 0, id="the other way"),
        pytest.param(-5, 5, 0, id="the other way, too"),
        pytest.param(5, 0, 0, id="gone"),
        pytest.param(-5, 0, 0, id="made up for"),
        pytest.param(0, 5, 0, id="new"),
        pytest.param(0, -5, 0, id="newly missing"),
        pytest.param(0, 0, 0, id="none"),
    ],
)
def test_what_both_comparisons_have_persists(
    before: int | None, latest: int, persistent: int
) -> None:
    assert Drift(latest, before).persistent == persistent


@given(st.integers(-99, 99), st.integers(-99, 99))
def test_what_persists_is_no_more_than_either_difference_and_points_the_same_way(
    before: int, latest: int
) -> None:
    found = Drift(latest, before).persistent
    assert abs(found) <= min(abs(before), abs(latest))
    assert found * before >= 0
    assert found * latest >= 0
    assert found == Drift(before, latest).persistent


def where(name: str = "node-1", uid: str = "") -> Target:
    return target(node(name), pod(uid or f"uid-{name}", node=name))


def differing(by: int, on: Target | None = None) -> Outcome:
    """A node whose books hold so many addresses more than its page says."""
    said = books(held(attached=20 + by, assigned=0, cooldown=0))
    return read(on or where(), reading(assigned=0, attached=20, introspection=said))


def after(*cycles: tuple[Outcome, ...]) -> Drifts:
    drifts: Drifts = {}
    for outcomes in cycles:
        drifts = against_page(drifts, outcomes)
    return drifts


UID = "uid-node-1"
CARRIED = read(where(), reading(introspection=books(held(), carried=True)))


class TestAgainstThePage:
    def test_the_latest_two_comparisons_are_kept_for_each_pod(self) -> None:
        other = where("node-2")
        assert after(
            (differing(9), differing(1, other)),
            (differing(5), differing(0, other)),
            (differing(4),),
        ) == {UID: Drift(4, 5)}
        assert after((differing(9), differing(1, other)), (differing(5), differing(0, other))) == {
            UID: Drift(5, 9),
            "uid-node-2": Drift(0, 1),
        }

    @pytest.mark.parametrize(
        "without",
        [
            pytest.param(read(where(), reading()), id="not introspected"),
            pytest.param(CARRIED, id="with the books of an earlier cycle"),
            pytest.param(unread(where()), id="not read"),
        ],
    )
    def test_a_cycle_without_a_comparison_changes_nothing(self, without: Outcome) -> None:
        assert after((differing(9),), (without,), (without,), (differing(5),)) == {UID: Drift(5, 9)}
        assert after((without,)) == {}

    def test_another_pod_begins_anew(self) -> None:
        assert after((differing(9),), (differing(5, where(uid="new")),)) == {"new": Drift(5)}

    def test_pods_that_are_gone_are_forgotten(self) -> None:
        assert after((differing(9),), (unread(Target(node())),)) == {}

    def test_what_it_was_given_stays_as_it_was(self) -> None:
        before = {UID: Drift(9)}
        against_page(before, (differing(5),))
        assert before == {UID: Drift(9)}


class TestAgainstEc2:
    def test_what_ipamd_holds_is_compared_with_what_ec2_shows(self) -> None:
        one, two, three = where("node-1"), where("node-2"), where("node-3")
        outcomes = (
            read(one, reading(attached=18)),
            read(two, reading(attached=18, introspection=books(held(attached=30)))),
            read(three, reading(attached=18)),
            unread(where("node-4")),
        )
        shown = {"node-1": 27, "node-2": 20, "node-4": 9}
        assert against_ec2({UID: Drift(-1), "gone": Drift(1)}, outcomes, shown) == {
            UID: Drift(-9, -1),
            "uid-node-2": Drift(10),
        }

    def test_books_count_though_they_are_of_an_earlier_cycle(self) -> None:
        assert against_ec2({}, (CARRIED,), {"node-1": 4}) == {UID: Drift(6)}

    @pytest.mark.parametrize(
        "outcome",
        [
            pytest.param(read(where(), reading(attached=SLASH_80)), id="in IPv6 mode"),
            pytest.param(
                read(
                    replace(where(), pod=pod(UID, env={"ENABLE_MULTI_NIC": "true"})),
                    reading(assigned_by_eni=(("eni-1", 3),)),
                ),
                id="with several network cards and no books",
            ),
        ],
    )
    def test_what_ipamd_does_not_tell_is_not_compared(self, outcome: Outcome) -> None:
        assert against_ec2({}, (outcome,), {"node-1": 9}) == {}
