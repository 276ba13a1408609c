"""CloudWatch in real time: a process for real minutes, and cni-metrics-helper's manifest as it is.

CLOUDWATCH_SECONDS says for how long: a minute where nothing is said, five by `make minutes`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.e2e.minutes import PERIOD, live, taken
from tests.e2e.published import GAUGES, INCUMBENTS
from tests.e2e.world import simulation, started

pytestmark = [pytest.mark.real, pytest.mark.early]

SECONDS = int(os.environ.get("CLOUDWATCH_SECONDS", "60"))
# A minute, the one it began in, and the time until its points are out.
_MANIFEST_SECONDS = 150.0


def test_every_minute_of_some_real_ones_is_the_truth(tmp_path: Path) -> None:
    minutes = SECONDS // PERIOD
    restarts = frozenset(range(minutes // 3, minutes, max(minutes // 3, 1)))
    lived = live(tmp_path, minutes, restarts)
    assert (lived.wrong, lived.unexplained) == ([], 0)
    # A machine that is very busy is late now and then.
    assert lived.alone >= max(minutes // 2, 3)
    assert lived.names >= INCUMBENTS | GAUGES
    assert lived.resolutions == {1}


def test_cni_metrics_helpers_manifest_publishes_its_twenty_names(tmp_path: Path) -> None:
    """Its environment, its rights, its ports; only the image is another."""
    arguments = ("--nodes", "4", "--profile", "incumbent", "--listen-port", "61678")
    with simulation(tmp_path, *arguments, "--address-base", "127.97.0.0") as sim:
        manifest = {
            "AWS_CLUSTER_ID": "theirs",
            "USE_CLOUDWATCH": "true",
            "USE_PROMETHEUS": "false",
            "METRIC_UPDATE_INTERVAL": "5",
            "AWS_VPC_K8S_CNI_LOGLEVEL": "INFO",
        }
        # What the pod has of its service account, and of AWS.
        account = {"KUBECONFIG": str(tmp_path / "kubeconfig")}
        environment = {**manifest, **account, **sim.facts["cloudwatch_environment"]}
        with started(tmp_path / "exporter.log", environment) as exporter:
            deadline = time.monotonic() + _MANIFEST_SECONDS
            while not {name for _, name in taken(sim, "theirs")[0].values} >= INCUMBENTS:
                assert time.monotonic() < deadline
                sim.step()
                time.sleep(4)
            assert exporter.stop() == 0
        told, state = taken(sim, "theirs")
    ours = [it for it in state["data"] if it["name"] in INCUMBENTS]
    assert {(it["namespace"], it["unit"], it["resolution"]) for it in ours} == {
        ("Kubernetes", "Count", 60)
    }
    assert {tuple(it["dimensions"].items()) for it in ours} == {(("CLUSTER_ID", "theirs"),)}
    assert {minute % 60 for minute, _ in told.values} == {0}
    # A minute's points are out within 15 seconds of its end, and the last ones at the end.
    late = {it["time"] - it["timestamp"] - 60 for it in state["data"]}
    assert max(late) < 15
