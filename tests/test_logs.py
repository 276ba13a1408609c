from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.logs import JsonFormatter, configure


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    logger.handlers.clear()
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "exporter.cycle", "levelno": 20, "levelname": "INFO"})
    vars(made).update(msg=message, args=args, created=1_787_200_000.123456, **extra)
    return made


def test_a_line_is_one_json_object_with_time_level_logger_and_message() -> None:
    assert JsonFormatter().format(record("read %d of %d nodes", 2, 3)) == (
        '{"time": "2026-08-20T04:26:40.123+00:00", "level": "info", "logger": "exporter.cycle", '
        '"message": "read 2 of 3 nodes"}'
    )


def test_what_is_given_as_extra_stands_beside_them() -> None:
    line = json.loads(JsonFormatter().format(record("x", node="node-1", unread={"timeout": 2})))
    assert (line["node"], line["unread"]) == ("node-1", {"timeout": 2})


def test_what_json_does_not_know_is_told_in_words() -> None:
    line = json.loads(JsonFormatter().format(record("x", reason=ValueError("broken"))))
    assert line["reason"] == "broken"


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("two\nlines", id="a line break"),
        pytest.param('"quoted" \\ {}', id="JSON's own characters"),
        pytest.param("été \u2028 \x00", id="other letters"),
    ],
)
def test_a_message_stays_on_one_line_whatever_is_in_it(message: str) -> None:
    text = JsonFormatter().format(record(message))
    assert "\n" not in text
    assert text.isascii() is message.isascii()
    assert json.loads(text)["message"] == message


def test_an_exception_comes_with_its_traceback() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        line = json.loads(JsonFormatter().format(record("x", exc_info=sys.exc_info())))
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("\nValueError: broken")


def test_all_loggers_write_to_standard_error_from_the_level_on(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("warning")
    logging.getLogger("exporter.cycle").info("unheard")
    logging.getLogger("aiohttp.server").warning("heard", extra={"node": "node-1"})
    out, err = capsys.readouterr()
    (line,) = lines(err)
    assert out == ""
    assert (line["level"], line["logger"], line["message"], line["node"]) == (
        "warning",
        "aiohttp.server",
        "heard",
        "node-1",
    )


def test_configuring_again_replaces_what_was_before(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("error")
    configure("debug")
    logging.getLogger("exporter").debug("once")
    assert [line["message"] for line in lines(capsys.readouterr().err)] == ["once"]
    assert len(root.handlers) == 1
