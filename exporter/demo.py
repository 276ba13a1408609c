"""`demo`: a simulated cluster and the exporter beside it, as two processes, and a live view.

Both processes end with this one, however it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from exporter.outputs.terminal import Figures, screen, waiting

_STEP_SECONDS = 2.0
# Of the simulated cluster's time, in one step of ours.
_SIMULATED_SECONDS = 30
_REFRESH_SECONDS = 0.5
_STOP_SECONDS = 5.0
_HTTP_SECONDS = 5.0

Child = subprocess.Popen[bytes]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `demo`."""
    parser.add_argument("--nodes", type=int, default=30, help="nodes of the cluster (30)")
    parser.add_argument(
        "--duration", type=float, default=None, help="seconds to run (until Ctrl-C)"
    )
    parser.add_argument(
        "--scenario",
        default="exhaustion",
        help="what happens: normal, exhaustion (one zone's subnet runs out) or rollout",
    )
    parser.add_argument(
        "--faults", type=float, default=0.1, help="share of nodes that fail in some way (0.1)"
    )
    parser.add_argument("--port", type=int, default=61681, help="port of the exporter (61681)")


def main(options: Mapping[str, Any]) -> int:
    """Run the demonstration; return the exit status."""
    console = Console()
    port = options["port"]
    if not _free(port):
        console.print(f"port {port} is in use: choose another with --port", style="red")
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    url = f"http://127.0.0.1:{port}/"
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vpc-cni-demo-")))
        cluster = stack.enter_context(_simulation(options, folder))
        daemon = stack.enter_context(_daemon(cluster, port, folder))
        _watch(console, url, cluster["control"], daemon, options["duration"])
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _loopback_only() -> bool:
    """Whether only 127.0.0.1 exists, as on macOS, so that nodes cannot have addresses."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.2", 0))
        except OSError:
            return True
    return False


@contextlib.contextmanager
def _process(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[Child]:
    """Run a child until left; its standard error goes to a file that a failure is told from."""
    with log.open("wb") as errors:
        child = subprocess.Popen(  # noqa: S603 - our own program, from our own interpreter
            [sys.executable, "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()


@contextlib.contextmanager
def _simulation(options: Mapping[str, Any], folder: Path) -> Iterator[Mapping[str, Any]]:
    """Run the simulated cluster; give what it says of itself: its addresses and ports."""
    command = ["exporter.sim", "--nodes", str(options["nodes"]), "--seed", "1"]
    command += ["--scenario", options["scenario"], "--speed", str(_SIMULATED_SECONDS)]
    command += ["--faults", str(options["faults"]), "--kubeconfig", str(folder / "kubeconfig")]
    if _loopback_only():
        command.append("--loopback-only")
    log = folder / "simulation.log"
    with _process(command, os.environ, log) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise SystemExit(f"the simulated cluster did not start:\n{_tail(log)}")
        yield json.loads(line)


@contextlib.contextmanager
def _daemon(cluster: Mapping[str, Any], port: int, folder: Path) -> Iterator[Child]:
    """Run the very daemon that a cluster would run, against the simulated one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("EXPORTER_")}
    own |= {
        "EXPORTER_LISTEN_ADDRESS": f"127.0.0.1:{port}",
        "EXPORTER_KUBECONFIG": str(folder / "kubeconfig"),
        "EXPORTER_INTERVAL": str(_STEP_SECONDS),
        "EXPORTER_SCRAPE_TIMEOUT": str(_STEP_SECONDS / 2),
        "EXPORTER_SCRAPE_VIA": "apiserver" if _loopback_only() else "direct",
        "EXPORTER_IPAMD_METRICS_PORT": str(cluster["ipamd_port"]),
        "EXPORTER_ALLOW_LOOPBACK_TARGETS": "true",
        "EXPORTER_EC2_SUBNETS_INTERVAL": str(_STEP_SECONDS),
        "EXPORTER_EC2_ENIS_INTERVAL": str(_STEP_SECONDS),
        "EXPORTER_EKS_INTERVAL": str(_STEP_SECONDS),
    }
    own |= cluster["aws_environment"]
    with _process(["exporter", "run"], own, folder / "exporter.log") as child:
        yield child


def _watch(console: Console, url: str, control: str, child: Child, duration: float | None) -> None:
    """Move the cluster on and show what the exporter says, until the time is over."""
    started = stepped = time.monotonic()
    with Live(waiting(url, 0), console=console, auto_refresh=False) as live:
        while duration is None or time.monotonic() - started < duration:
            if child.poll() is not None:
                raise SystemExit("the exporter ended by itself")
            if time.monotonic() - stepped >= _STEP_SECONDS:
                _request(f"{control}/step", b"{}")
                stepped = time.monotonic()
            live.update(_picture(url, control, time.monotonic() - started), refresh=True)
            time.sleep(_REFRESH_SECONDS)


def _picture(url: str, control: str, seconds: float) -> RenderableType:
    text = _request(f"{url}metrics")
    figures = Figures.parse(text) if text else Figures({})
    if not figures.all("vpc_cni_cluster_nodes"):
        return waiting(url, seconds)
    state = json.loads(_request(f"{control}/state") or "{}")
    return screen(figures, url, str(state.get("story", "")))


def _request(url: str, body: bytes | None = None) -> str | None:
    """Return what a server of ours answers, None while it does not."""
    try:
        with urllib.request.urlopen(url, body, timeout=_HTTP_SECONDS) as answer:  # noqa: S310
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None


def _tail(log: Path, lines: int = 10) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
