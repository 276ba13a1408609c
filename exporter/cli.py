"""The command line: `run` (the default), `check-settings`, `demo` and `reference`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import uvloop

from exporter import __version__, allocator, app, checking, demo, logs, reference
from exporter.core.model import Unavailable
from exporter.outputs.guard import WebConfigError
from exporter.settings import FIELDS, Loaded, SettingsError, flag, load, variable

log = logging.getLogger(__name__)

_WRONG_SETTINGS = 2


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar; the settings' flags come from their declarations."""
    top = argparse.ArgumentParser(
        prog="vpc-cni-exporter",
        description="Prometheus exporter for the pod IP addresses of Amazon EKS.",
        allow_abbrev=False,
        epilog="Without a command, `run`. `vpc-cni-exporter run --help` lists the settings.",
    )
    top.add_argument("--version", action="version", version=f"vpc-cni-exporter {__version__}")
    commands = top.add_subparsers(dest="command")
    run = commands.add_parser(
        "run", help="read the cluster and serve its metrics", allow_abbrev=False
    )
    _add_settings(run)
    check = commands.add_parser(
        "check-settings",
        help="say what the settings come to, what is published where, and what is billed",
        allow_abbrev=False,
    )
    check.add_argument(
        "--subnets",
        type=_count,
        metavar="NUMBER",
        help="subnets of the cluster, for what CloudWatch bills; "
        f"{checking.ASSUMED_SUBNETS} are assumed",
    )
    _add_settings(check)
    demo.add_arguments(
        commands.add_parser("demo", help="run against a simulated cluster and watch it")
    )
    docs = commands.add_parser("reference", help="write METRICS.md and SETTINGS.md")
    docs.add_argument("folder", type=Path, nargs="?", default=Path("docs"))
    return top


def _add_settings(command: argparse.ArgumentParser) -> None:
    for name, field in FIELDS.items():
        help = f"{field.description} [{variable(name)}]".replace("%", "%%")
        option = command.add_argument(flag(name), dest=name, help=help, metavar="VALUE")
        if isinstance(field.default, bool):
            option.nargs, option.const = "?", "true"


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of subnets")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 2 where the settings are wrong, 1 where it cannot run."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help", "--version")):
        given.insert(0, "run")
    options = vars(parser().parse_args(given))
    match options.pop("command"):
        case "demo":
            sys.exit(demo.main(options))
        case "reference":
            reference.write(options["folder"])
        case "check-settings":
            subnets = options.pop("subnets")
            _check({name: value for name, value in options.items() if value is not None}, subnets)
        case _:
            _run({name: value for name, value in options.items() if value is not None})


def _check(flags: Mapping[str, str], subnets: int | None) -> None:
    try:
        loaded = load(flags)
        checking.read_files(loaded.settings)
    except (SettingsError, WebConfigError) as error:
        _refuse(error.problems)
    print(checking.report(loaded, subnets), end="")


def _run(flags: Mapping[str, str]) -> None:
    try:
        loaded = load(flags)
    except SettingsError as error:
        _refuse(error.problems)
    logs.configure(loaded.settings.log_level)
    for warning in loaded.warnings:
        log.warning(warning)
    _raise_descriptor_limit()
    allocator.give_back()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(loaded))
    except WebConfigError as error:
        _refuse(error.problems)
    except (OSError, Unavailable) as error:
        log.critical("cannot run: %s", error)
        sys.exit(1)


def _refuse(problems: Sequence[str]) -> NoReturn:
    for problem in problems:
        print(f"vpc-cni-exporter: {problem}", file=sys.stderr)
    sys.exit(_WRONG_SETTINGS)


async def _until_told(loaded: Loaded) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    await app.run(loaded.settings, stop)


def _raise_descriptor_limit() -> None:
    """Every node being read is a socket; the soft limit is often 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
