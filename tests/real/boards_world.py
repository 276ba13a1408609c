"""A cluster where everything that the dashboards show has happened, and Prometheus that saw it.

Two replicas' worth of scrapes have no label `cluster`, a third one has: so every expression must
count replicas once, and do with that label and without.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.minutes import settings as cloudwatch
from tests.e2e.test_subnets import names
from tests.e2e.world import Daemon, Simulation, daemon, eventually, key, simulation
from tests.real.test_prometheus import prometheus_with

CLUSTER = "prod"
# By then all has befallen the cluster but the relief at the end.
_STEPS = 22
_ARGUMENTS = ("--scenario", "modes", "--speed", "30", "--introspection", "all")
# A subnet of pods to come, of which others take so many addresses a second, until few are left.
_SPARE, _ZONE, _RATE, _MOST = "10.9.0.0/22", "late", 6, 1000
_INFO = "vpc_cni_subnet_info"
_EXHAUSTION = "vpc_cni_subnet_exhaustion_seconds"
_FAULTS = ("refuse", "status_500")


@dataclass(frozen=True, slots=True)
class World:
    """Where Prometheus answers, since and until when there is something to see (Unix seconds)."""

    url: str
    sim: Simulation
    exporter: Daemon
    began: float
    end: float


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Others who take addresses of a subnet evenly since an instant."""

    sim: Simulation
    subnet: str
    began: float

    def grow_until(self, instant: float) -> None:
        while True:
            count = min(_MOST, int(_RATE * (time.time() - self.began)))
            self.sim.control("/subnets/crowd", {"subnet": self.subnet, "enis": count})
            if time.time() >= instant:
                return
            time.sleep(0.1)


@contextlib.contextmanager
def troubled(folder: Path, *, step_seconds: float) -> Iterator[World]:
    """Run the cluster through its troubles, one after the other; each step takes so long."""
    with contextlib.ExitStack() as stack:
        sim = stack.enter_context(simulation(folder, *_ARGUMENTS))
        exporter = stack.enter_context(daemon(folder, sim, **_settings(sim)))
        url = stack.enter_context(prometheus_with(folder, _config(exporter)))
        degraded = {"status": "DEGRADED", "issues": ["AccessDenied"]}
        sim.control("/eks", {"addons": {"vpc-cni": degraded}, "issues": ["Ec2SubnetNotFound"]})
        eventually(lambda: _INFO in names(exporter.scrape()), "the subnets are read")
        began = time.time()
        spare = sim.control("/subnets", {"cidr": _SPARE})["subnet"]
        sim.control("/eniconfigs", {"name": _ZONE, "subnet": spare})
        crowd = _Crowd(sim, spare, began)
        for step in range(_STEPS):
            sim.step()
            if step == _STEPS // 2:
                _silence(sim)
            crowd.grow_until(time.time() + step_seconds)
        told = key(_EXHAUSTION, subnet_id=crowd.subnet)

        def ends() -> bool:
            crowd.grow_until(time.time())
            return told in exporter.scrape()

        eventually(ends, "its end is told")
        crowd.grow_until(time.time() + 2.5)  # until that is scraped
        yield World(url, sim, exporter, began, time.time())


def _settings(sim: Simulation) -> dict[str, str]:
    return {
        "EXPORTER_SOURCES": "ipamd,ec2,eks",
        "EXPORTER_EC2_SUBNETS_INTERVAL": "0.5",
        "EXPORTER_EC2_ENIS_INTERVAL": "0.5",
        "EXPORTER_EKS_INTERVAL": "1",
        "EXPORTER_FORECAST_MIN_HISTORY": "6",
        "EXPORTER_INTROSPECTION_INTERVAL": "0",
        "EXPORTER_SCRAPE_TIMEOUT": "3",
        "EXPORTER_IPAMD_INTROSPECTION_PORT": str(sim.facts["introspection_port"]),
        **sim.facts["aws_environment"],
        **cloudwatch(sim),
    }


def _config(exporter: Daemon) -> dict[str, object]:
    target = exporter.url.removeprefix("http://")
    labels = {"exporter-0": {}, "exporter-1": {}, "exporter-2": {"cluster": CLUSTER}}
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [target], "labels": more}]}
            for name, more in labels.items()
        ],
    }


def _silence(sim: Simulation) -> None:
    """Let two nodes answer nothing of use."""
    plain = [it["name"] for it in sim.control("/state")["nodes"] if it["nodegroup"] == "plain"]
    for name, fault in zip(plain, _FAULTS, strict=False):
        sim.control("/faults", {"nodes": [name], "fault": fault})
