"""What the measurements take for granted of the exporter is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.daemon import AGAIN, LOOPS
from bench.notes import CYCLE
from bench.peers import FLEET, OTHERS, PEERS, Size, World, hurry
from bench.sizes import FIGURES, FULL, QUICK, Scale
from exporter.settings import FIELDS, variable

VARIABLES = {variable(name) for name in FIELDS}


def test_every_loop_that_is_watched_is_one_of_the_daemons() -> None:
    for (place, name), works in LOOPS.items():
        loop = getattr(place, name)
        assert [it for it in works if not hasattr(loop, it)] == []


def test_what_can_be_asked_for_beside_cycles_is_noted_too() -> None:
    noted = {work for works in LOOPS.values() for work in works.values()}
    assert AGAIN.keys() <= noted - {CYCLE}


def test_every_peer_is_turned_to_again_and_again_by_settings_that_there_are() -> None:
    assert {FLEET, *OTHERS} == PEERS.keys()
    assert {name for name in hurry(*OTHERS) if name.startswith("EXPORTER_")} <= VARIABLES
    assert hurry().items() <= hurry(*OTHERS).items()


def test_the_daemon_finds_the_peers_that_are_wanted_and_no_others() -> None:
    fleet = {"kubeconfig": "here", "ipamd_port": 61678}
    ec2 = {"aws_environment": {"AWS_REGION": "eu-central-1"}}
    world = World(Size(nodes=1), Path(), {}, {FLEET: fleet, "ec2": ec2})
    alone = {
        "EXPORTER_KUBECONFIG": "here",
        "EXPORTER_IPAMD_METRICS_PORT": "61678",
        "EXPORTER_ALLOW_LOOPBACK_TARGETS": "true",
        "EXPORTER_SOURCES": "ipamd",
    }
    assert world.settings() == alone
    assert world.settings("ec2") == {
        **alone,
        "EXPORTER_SOURCES": "ipamd,ec2",
        "AWS_REGION": "eu-central-1",
    }
    living = World(Size(nodes=1), Path(), {}, {FLEET: {**fleet, **ec2}})
    assert living.settings() == world.settings("ec2")
    assert {name for name in alone if name.startswith("EXPORTER_")} <= VARIABLES


@pytest.mark.parametrize("scale", [FULL, QUICK], ids=lambda it: it.name)
def test_most_is_measured_at_one_of_the_sizes(scale: Scale) -> None:
    assert scale.main in scale.nodes


@pytest.mark.parametrize(
    ("nodes", "main"),
    [
        pytest.param((1_000, 5_000), 5_000, id="the same"),
        pytest.param((200, 300), 300, id="the largest"),
    ],
)
def test_over_other_fleets_most_is_measured_at_the_same_size_or_the_largest(
    nodes: tuple[int, ...], main: int
) -> None:
    scale = FULL.over(*nodes)
    assert (scale.nodes, scale.main, scale.cycles) == (nodes, main, FULL.cycles)


def test_figures_of_a_full_run_outlive_any_other_run() -> None:
    folders = [FULL.folder, QUICK.folder, FULL.over(200).folder, QUICK.over(200).folder]
    assert [it.name for it in folders] == ["out", "quick", "chosen", "chosen"]
    assert [FIGURES.parent == it for it in folders] == [True, False, False, False]
