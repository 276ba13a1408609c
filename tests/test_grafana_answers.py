"""What stands for Grafana where the boards are looked at: variables, merging, order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from scripts.grafana import answers
from scripts.grafana.answers import Moment
from scripts.grafana.panels import Column, table

MOMENT = Moment(end=100.0, chosen={"zone": "a|b"})
Rows = list[tuple[Mapping[str, str], float]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('up{cluster=~"$cluster"}', 'up{cluster=~".*"}'),
        ('up{zone=~"$zone"}', 'up{zone=~"a|b"}'),
        ("rate(a[$__rate_interval])", "rate(a[20s])"),
        ('label_replace(a, "b", "$1", "c", "(.+)")', 'label_replace(a, "b", "$1", "c", "(.+)")'),
    ],
)
def test_variables_are_put_in_and_what_is_none_stays(text: str, said: str) -> None:
    assert answers.substituted(text, MOMENT) == said


def test_a_series_is_called_by_its_labels() -> None:
    assert answers.legend({"legendFormat": "{{a}} {{b}}"}, {"a": "x"}) == "x"
    assert answers.legend({"legendFormat": "__auto"}, {"a": "x", "b": "y"}) == "x, y"


def shown(monkeypatch: pytest.MonkeyPatch, found: list[Rows], worst: str) -> tuple[Any, Any]:
    """A table of three queries with these answers."""
    asked = iter(found)
    monkeypatch.setattr(
        answers,
        "_asked",
        lambda *_: [{"metric": labels, "value": [0, str(it)]} for labels, it in next(asked)],
    )
    columns = [
        Column("Zone", "zone"),
        Column("Used", "#A"),
        Column("Free", "#B"),
        Column("Ends", "#C"),
    ]
    made = table("T", "What is left.", ["a", "b", "c"], columns, worst).made
    return answers.table("http://nowhere", made, MOMENT)


def test_rows_of_the_same_labels_are_one_and_the_worst_is_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: Rows = [({"subnet_id": "s1", "zone": "a"}, 0.5), ({"subnet_id": "s2", "zone": "b"}, 0.9)]
    free: Rows = [({"subnet_id": "s2"}, 3), ({"subnet_id": "s1"}, 40)]
    ends: Rows = [({"subnet_id": "s1"}, 60)]
    first = {"Zone": "b", "Used": 0.9, "Free": 3.0}
    second = {"Zone": "a", "Used": 0.5, "Free": 40.0, "Ends": 60.0}
    columns = ["Zone", "Used", "Free", "Ends"]
    assert shown(monkeypatch, [used, free, ends], "Used") == (columns, [first, second])
    assert shown(monkeypatch, [used, free, ends], "-Used") == (columns, [second, first])


def test_a_query_without_an_answer_takes_its_column_away_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: Rows = [({"subnet_id": "s1", "zone": "a"}, 0.5)]
    free: Rows = [({"subnet_id": "s1"}, 40)]
    row = {"Zone": "a", "Used": 0.5, "Free": 40.0}
    assert shown(monkeypatch, [used, free, []], "Used") == (["Zone", "Used", "Free"], [row])


def test_without_any_answer_there_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, [[], [], []], "Used") == ([], [])
