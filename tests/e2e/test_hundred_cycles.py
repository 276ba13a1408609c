"""Some hundred cycles in which a tenth of the nodes fails, in every way there is."""

from __future__ import annotations

from pathlib import Path

from bench.churn import Churn
from tests.e2e.world import (
    Samples,
    daemon,
    differences,
    expected,
    fell,
    key,
    published,
    simulation,
)

STEPS = 100
NODES = 40
# A node that says nothing costs a cycle the whole time limit, which must be long enough for a
# busy machine to take in 16 MiB of an endless body.
TIMEOUT = "1.2"


def reasons(samples: Samples) -> set[str]:
    return {
        dict(labels)["reason"]
        for (name, labels), value in samples.items()
        if name == "vpc_cni_cluster_unread_nodes" and value
    }


def test_every_figure_equals_the_truth_in_every_cycle_and_no_counter_falls(tmp_path: Path) -> None:
    wrong: list[object] = []
    seen: set[str] = set()
    before: Samples = {}
    with (
        simulation(tmp_path, "--nodes", str(NODES), "--startup", "0.05") as sim,
        daemon(
            tmp_path, sim, EXPORTER_INTERVAL="0.05", EXPORTER_SCRAPE_TIMEOUT=TIMEOUT
        ) as exporter,
    ):
        churn = Churn(sim, 1, share=10)
        for step in range(STEPS):
            now = exporter.cycle_after(sim.truth()["advanced_at"])
            wrong += [
                (step, *found) for found in differences(expected(sim.truth()), published(now))
            ]
            wrong += [(step, *found) for found in fell(before, now)]
            seen |= reasons(now)
            before = now
            churn.next()
        assert exporter.stop() == 0
        followed = sim.control("/requests")["redirects_followed"]
    assert wrong == []
    assert followed == 0
    assert seen == {
        "no_pod",
        "starting",
        "pending",
        "timeout",
        "unreachable",
        "http_status",
        "malformed",
        "too_large",
        "incomplete",
        "inconsistent",
    }
    assert before[key("vpc_cni_cluster_add_requests_total")] > 0
