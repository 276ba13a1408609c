"""A real Prometheus answers with the truth of every mode of the CNI at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.e2e.modes_world import at, modes, settled, steady, wrong
from tests.e2e.world import eventually, expected
from tests.real.test_prometheus import answers, prometheus, scraped, without_empty

pytestmark = pytest.mark.real

STEPS = 5
# Seconds between two surveys of EC2: what they tell must stand from one scrape to the next.
PERIOD = 1.2


@pytest.mark.parametrize("introspection", ["all", "half", "none"])
def test_prometheus_answers_with_the_truth_of_every_mode(
    introspection: str, tmp_path: Path
) -> None:
    arguments = ("--introspection", introspection, "--speed", "150")
    with (
        modes(tmp_path, *arguments, period=PERIOD) as (sim, exporter),
        prometheus(tmp_path, exporter.url.removeprefix("http://")) as url,
    ):
        for _ in range(STEPS):
            samples = settled(exporter, sim.truth()["advanced_at"], PERIOD)
            truth = sim.truth()
            assert wrong(truth, samples) == []
            done = samples[at("last_success_timestamp_seconds", "ipamd")]
            eventually(partial(scraped, url, done), "Prometheus scraped the figures")
            told = without_empty(steady(truth, expected(truth)))
            answered = answers(url)
            assert {found: answered.get(found) for found in told} == pytest.approx(told)
            gauges = {name for name, _ in told if name.startswith("vpc_cni_node_")}
            assert {name for name, _ in answered if name in gauges} == gauges
            sim.step()
