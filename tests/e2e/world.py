"""The simulated cluster and the daemon as processes, and their figures side by side."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.core.catalog import METRICS

DEADLINE_SECONDS = 60.0
_POLL_SECONDS = 0.02

Labels = frozenset[tuple[str, str]]
Samples = Mapping[tuple[str, Labels], float]
Found = TypeVar("Found")

# What tells when sources were read.
CLOCKS = ("vpc_cni_exporter_last_success_", "vpc_cni_exporter_cycle_duration_")
PUBLISHED = frozenset(metric.name for metric in METRICS)
# What a scrape says beside the figures that the truth knows.
OWN = (
    "vpc_cni_exporter_",
    "vpc_cni_cluster_info",
    # What fits is no fact to read, but to try out, at rest.
    *(f"vpc_cni_{scope}_pod_headroom" for scope in ("cluster", "zone", "nodegroup", "node")),
    "vpc_cni_subnet_node_headroom",
    "process_",
    "python_",
)


def key(name: str, /, **labels: str) -> tuple[str, Labels]:
    """Return how a sample is found."""
    return name, frozenset(labels.items())


def parse(text: str) -> Samples:
    """Return the samples of a page."""
    return {
        key(sample.name, **sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def clocks(text: str) -> Samples:
    """Return the samples of a page that tell when sources were read; only they are parsed."""
    return parse("".join(it for it in text.splitlines(keepends=True) if it.startswith(CLOCKS)))


def ended(told: Samples, source: str) -> float:
    """Return when a source was last read to its end (Unix seconds), NaN before."""
    found = key("vpc_cni_exporter_last_success_timestamp_seconds", source=source)
    return told.get(found, math.nan)


def began(told: Samples, source: str) -> float:
    """Return when the last reading of a source began (Unix seconds), NaN before."""
    took = key("vpc_cni_exporter_cycle_duration_seconds", source=source)
    return ended(told, source) - told.get(took, math.nan)


def request(url: str, body: object = None, method: str | None = None) -> tuple[int, str]:
    """Return status and body of an answer, whatever the status; raise OSError without one."""
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(sent, timeout=DEADLINE_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def eventually(look: Callable[[], Found | None], what: str) -> Found:
    """Return what `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(_POLL_SECONDS)
    raise AssertionError(f"not within {DEADLINE_SECONDS:.0f} s: {what}")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment() -> dict[str, str]:
    """Return this process's environment without anything that configures the exporter."""
    ours = ("EXPORTER_", "AWS_", "KUBE", "USE_", "METRIC_UPDATE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@dataclass(slots=True)
class Simulation:
    """A simulated cluster in a process of its own."""

    process: subprocess.Popen[bytes]
    facts: Mapping[str, Any]

    def control(self, path: str, body: object = None) -> Any:
        """Return what the control answers; a body makes it a POST."""
        status, text = request(f"{self.facts['control']}{path}", body)
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text) if text else None

    def step(self) -> None:
        """Move the cluster on by one step."""
        self.control("/step", {})

    def nodes(self) -> list[str]:
        """Return the names of the nodes that run aws-node."""
        found = self.control("/state")["nodes"]
        return [node["name"] for node in found if node["kind"] == "regular"]

    def truth(self) -> Mapping[str, Any]:
        """Return what an ideal reader knows now."""
        answer: Mapping[str, Any] = self.control("/truth")
        return answer


@dataclass(slots=True)
class Daemon:
    """The exporter in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str = ""

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an answer of the exporter's."""
        return request(self.url + path)

    def page(self) -> str:
        """Return what /metrics says now."""
        status, text = self.get("/metrics")
        assert status == 200
        return text

    def scrape(self) -> Samples:
        """Return the samples of /metrics now."""
        return parse(self.page())

    def cycle_after(self, instant: float) -> Samples:
        """Return the figures of a cycle that began after an instant (Unix seconds)."""

        def look() -> str | None:
            text = self.page()
            return text if began(clocks(text), "ipamd") > instant else None

        return parse(eventually(look, f"a cycle that began after {instant}"))

    def lines(self) -> list[Mapping[str, Any]]:
        """Return what was logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def logged(self, message: str) -> list[Mapping[str, Any]]:
        """Return the log lines whose message contains a text."""
        return [line for line in self.lines() if message in line["message"]]

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """End the process and return its exit status."""
        self.process.send_signal(sign)
        return self.process.wait(10)


@contextlib.contextmanager
def simulation(folder: Path, *arguments: str) -> Iterator[Simulation]:
    """Run a simulated cluster; its kubeconfig is `kubeconfig` in the folder."""
    command = [sys.executable, "-m", "exporter.sim", "--kubeconfig", str(folder / "kubeconfig")]
    process = subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(),
    )
    with _ended(process):
        assert process.stdout is not None
        yield Simulation(process, json.loads(process.stdout.readline()))


@contextlib.contextmanager
def daemon(folder: Path, sim: Simulation, **settings: str) -> Iterator[Daemon]:
    """Run the exporter against a simulated cluster, quickly unless the settings say otherwise."""
    environment = {
        "EXPORTER_LISTEN_ADDRESS": "127.0.0.1:0",
        "EXPORTER_KUBECONFIG": str(folder / "kubeconfig"),
        "EXPORTER_INTERVAL": "0.1",
        "EXPORTER_SCRAPE_TIMEOUT": "0.5",
        "EXPORTER_IPAMD_METRICS_PORT": str(sim.facts["ipamd_port"]),
        "EXPORTER_ALLOW_LOOPBACK_TARGETS": "true",
        "EXPORTER_SOURCES": "ipamd",
    }
    with started(folder / "exporter.log", {**environment, **settings}) as running:
        yield running


@contextlib.contextmanager
def started(log: Path, environment: Mapping[str, str]) -> Iterator[Daemon]:
    """Run the exporter with these variables, and wait until it listens."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "exporter"],
            stderr=errors,
            env={**clean_environment(), **environment},
        )
    with _ended(process):
        running = Daemon(process, "", log, environment)

        def line(message: str) -> Mapping[str, Any] | None:
            assert process.poll() is None, f"the exporter ended: {log.read_text()}"
            # A line that is still being written does not end yet.
            whole = [line for line in log.read_text().splitlines(keepends=True) if line[-1] == "\n"]
            said = [json.loads(line) for line in whole if line.startswith("{")]
            return next((line for line in said if line["message"] == message), None)

        listens = eventually(lambda: line("listening"), "the exporter listens")
        running.url = f"{'https' if listens['tls'] else 'http'}://127.0.0.1:{listens['port']}"
        if "EXPORTER_HEALTH_ADDRESS" in environment:
            probed = eventually(lambda: line("listening for probes"), "it listens for probes")
            running.health = f"http://127.0.0.1:{probed['port']}"
        yield running


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def families(truth: Mapping[str, Any]) -> set[str]:
    """Return the names of the metrics that the truth knows."""
    names = truth["samples"].keys()
    return {name.removesuffix("_sum").removesuffix("_count") for name in names}


def expected(truth: Mapping[str, Any]) -> Samples:
    """Return the truth's samples as a scrape's, of the metrics that the exporter has."""
    return {
        key(name, **labels): value
        for name, rows in truth["samples"].items()
        if name.removesuffix("_sum").removesuffix("_count") in PUBLISHED
        for labels, value in rows
    }


def published(samples: Samples) -> Samples:
    """Return the figures that the truth knows too: it leaves out cluster counters that are 0."""

    def told(name: str, value: float) -> bool:
        counter = name.startswith("vpc_cni_cluster_") and name.endswith(
            ("_total", "_sum", "_count")
        )
        return not name.startswith(OWN) and not (counter and value == 0)

    return {found: value for found, value in samples.items() if told(found[0], value)}


def differences(want: Samples, got: Samples) -> list[tuple[object, float | None, float | None]]:
    """Return what differs: the sample, what it should be, and what it is."""
    return [
        (found, want.get(found), got.get(found))
        for found in want.keys() | got.keys()
        if want.get(found) != pytest.approx(got.get(found), abs=1e-6)
    ]


def fell(before: Samples, now: Samples) -> list[tuple[object, float, float]]:
    """Return the counters that are lower than before; a node that left takes its own with it."""
    return [
        (found, before[found], value)
        for found, value in now.items()
        if found[0].endswith(("_total", "_sum", "_count")) and value < before.get(found, 0.0)
    ]
