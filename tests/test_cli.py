from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import __version__
from exporter.cli import main, parser
from exporter.reference import metrics_page, settings_page
from exporter.settings import FIELDS, flag, variable


def ended(*arguments: str) -> object:
    """The exit status."""
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    return exit.value.code


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in FIELDS])
def test_every_setting_is_a_flag_of_run(name: str) -> None:
    options = vars(parser().parse_args(["run", flag(name), "a value"]))
    assert {key: value for key, value in options.items() if value is not None} == {
        "command": "run",
        name: "a value",
    }


@pytest.mark.parametrize("name", ["allow_loopback_targets", "legacy_metrics"])
def test_a_boolean_flag_alone_means_yes(name: str) -> None:
    assert vars(parser().parse_args(["run", flag(name)]))[name] == "true"


@pytest.mark.parametrize("name", ["interval", "cluster_name"])
def test_another_flag_needs_a_value(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("run", flag(name)) == 2
    assert "expected one argument" in capsys.readouterr().err


def test_the_help_of_run_tells_every_setting_by_flag_and_variable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended("run", "--help") == 0
    text = re.sub(r"\s+", "", capsys.readouterr().out)
    for name, field in FIELDS.items():
        assert flag(name) in text
        assert re.sub(r"\s+", "", f"{field.description} [{variable(name)}]") in text


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in FIELDS])
def test_every_setting_is_a_flag_of_check_settings_too(name: str) -> None:
    options = vars(parser().parse_args(["check-settings", flag(name), "a value"]))
    assert options[name] == "a value"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--version") == 0
    assert capsys.readouterr().out == f"vpc-cni-exporter {__version__}\n"


def test_the_help_tells_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--help") == 0
    out = capsys.readouterr().out
    assert "{run,check-settings,demo,reference}" in out


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("prowl") == 2
    assert "invalid choice: 'prowl'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("run", "--interval", "soon", "--log-level", "loud"), id="run"),
        pytest.param(("--interval", "soon", "--log-level", "loud"), id="no command"),
        pytest.param(
            ("check-settings", "--interval", "soon", "--log-level", "loud"), id="check-settings"
        ),
    ],
)
def test_wrong_settings_are_told_line_by_line_and_end_with_status_2(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(*arguments) == 2
    assert capsys.readouterr().err == (
        "vpc-cni-exporter: --interval: 'soon' is not usable: "
        "input should be a valid number, unable to parse string as a number\n"
        "vpc-cni-exporter: --log-level: 'loud' is not usable: "
        "input should be 'debug', 'info', 'warning' or 'error'\n"
    )


def test_no_arguments_at_all_mean_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPORTER_INTERVAL", "soon")
    assert ended() == 2
    assert "EXPORTER_INTERVAL: 'soon' is not usable" in capsys.readouterr().err


def test_the_reference_is_written_into_a_folder(tmp_path: Path) -> None:
    main(["reference", str(tmp_path)])
    assert (tmp_path / "METRICS.md").read_text(encoding="utf-8") == metrics_page()
    assert (tmp_path / "SETTINGS.md").read_text(encoding="utf-8") == settings_page()


def test_the_reference_goes_to_docs_by_default() -> None:
    assert vars(parser().parse_args(["reference"]))["folder"] == Path("docs")


def test_a_process_that_cannot_listen_says_so_in_its_log_and_ends_with_status_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "exporter", "--listen-address", address],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert '"level": "critical"' in line
    assert '"message": "cannot run: ' in line
    assert "address already in use" in line


# What runs tells how it finds its process: open files, and whether blocks go back.
PROGRAM = """
import resource
from exporter import allocator, app, cli

async def told(settings, stop):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    print(soft == hard, given_back)

given_back = []
allocator.give_back = lambda: given_back.append("given back")
app.run = told
cli.main(["run"])
"""


def test_run_makes_its_process_fit_for_thousands_of_nodes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "True ['given back']\n"
