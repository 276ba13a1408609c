from __future__ import annotations

from pathlib import Path

from bench.notes import CYCLE, SURVEY, Notebook, Notes, Span

CYCLED = Span(
    work=CYCLE, began=1.0, ended=1.5, cpu=0.25, tasks=14, told={"read": 9, "expected": 10}
)
SURVEYED = Span(work=SURVEY, began=1.25, ended=3.0)


def test_what_is_noted_is_read_back_as_it_was(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    with notes.path.open("w") as file:
        book = Notebook(file)
        book.started(0.5)
        book.span(CYCLED)
        book.lags([(1.0, 0.001), (1.005, 0.0)])
        notes.read()
        assert (notes.started, notes.spans, notes.lags) == (
            0.5,
            [CYCLED],
            [(1.0, 0.001), (1.005, 0.0)],
        )
        book.span(SURVEYED)
        notes.read()
    assert notes.spans == [CYCLED, SURVEYED]
    assert notes.of(SURVEY) == [SURVEYED]


def test_a_line_that_is_still_being_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    notes.read()
    assert notes.started is None
    with notes.path.open("w") as file:
        file.write('{"started": 1')
        file.flush()
        notes.read()
        assert notes.started is None
        file.write("2.5}\n")
        file.flush()
        notes.read()
        notes.read()
    assert notes.started == 12.5


def test_spans_overlap_where_both_were_under_way() -> None:
    assert CYCLED.overlaps(1.4, 2.0)
    assert CYCLED.overlaps(0.0, 1.1)
    assert not CYCLED.overlaps(1.5, 2.0)
    assert not CYCLED.overlaps(0.0, 1.0)
