"""The demonstration as a person starts it: two processes, a live view, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.e2e.world import Daemon, clean_environment, eventually, free_port, key


def demo(port: int, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "exporter", "demo", "--port", str(port), "--nodes", "8", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment(),
    )


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_demonstration_shows_figures_serves_them_and_leaves_nothing_running() -> None:
    port = free_port()
    with demo(port, "--faults", "0") as process:
        exporter = Daemon(process, f"http://127.0.0.1:{port}", Path(os.devnull))  # type: ignore[arg-type]

        def read() -> float | None:
            try:
                return exporter.scrape().get(key("vpc_cni_cluster_nodes", state="read"))
            except OSError:
                return None

        assert eventually(read, "the exporter of the demonstration has figures") == 8
        up = {key("vpc_cni_exporter_source_up", source=it): 1 for it in ("ec2_subnets", "eks")}
        eventually(lambda: up.items() <= exporter.scrape().items(), "AWS is read as well")
        parts = children(process.pid)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert f"http://127.0.0.1:{port}/" in output
    assert len(parts) == 2
    assert [pid for pid in parts if alive(pid)] == []


def test_the_demonstration_ends_after_its_duration() -> None:
    with demo(free_port(), "--duration", "5") as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "pod IP addresses of sim" in output


def test_the_demonstration_says_that_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo(port) as process:
            output, _ = process.communicate(timeout=15)
    assert (process.returncode, output) == (
        1,
        f"port {port} is in use: choose another with --port\n",
    )
