"""Who the daemon talks to in a measurement: a table of servers, each in a process of its own.

A world is the fleet and the other peers that are wanted. A peer says how it is started, given what
the fleet told of itself, and with which settings the daemon finds it; a further one is one row.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import PEER_CORE, Child, cpu_seconds, running

ENIS_PER_NODE = 4
_NICENESS = 5
_CONTROL_SECONDS = 120.0
# A silent node is three sockets of the fleet's, and beside the nodes there is the API.
_SOCKETS_PER_NODE = 1.3
_OTHER_SOCKETS = 1_000

Facts = Mapping[str, Any]
Settings = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a world is."""

    nodes: int
    enis: int = 0
    seed: int = 1

    @classmethod
    def usual(cls, nodes: int) -> Size:
        """Return a world of so many nodes with the ENIs that nodes have here."""
        return cls(nodes=nodes, enis=ENIS_PER_NODE * nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One server: its command, given the world's size and the fleet's facts; the settings that its
    own facts make for the daemon; and those by which the daemon turns to it again and again."""

    command: Callable[[Size, Facts], Sequence[str]]
    settings: Callable[[Facts], Settings]
    hurry: Settings


def _fleet(size: Size, facts: Facts) -> Sequence[str]:
    return (
        "exporter.sim",
        f"--nodes={size.nodes}",
        f"--seed={size.seed}",
        f"--kubeconfig={facts['folder']}/kubeconfig",
        "--uvloop",
        *facts["story"],
    )


def _fleet_settings(facts: Facts) -> Settings:
    return {
        "EXPORTER_KUBECONFIG": facts["kubeconfig"],
        "EXPORTER_IPAMD_METRICS_PORT": str(facts["ipamd_port"]),
        "EXPORTER_ALLOW_LOOPBACK_TARGETS": "true",
        # A living fleet has an EC2 of its own.
        **(_ec2_settings(facts) if "aws_environment" in facts else {"EXPORTER_SOURCES": "ipamd"}),
    }


def _ec2(size: Size, facts: Facts) -> Sequence[str]:
    where = (f"--api={facts['api']}", f"--token={facts['token']}")
    return ("bench.ec2_server", f"--enis={size.enis}", *where)


def _ec2_settings(facts: Facts) -> Settings:
    return {"EXPORTER_SOURCES": "ipamd,ec2", **facts["aws_environment"]}


def _cloudwatch(_size: Size, _facts: Facts) -> Sequence[str]:
    return ("bench.cloudwatch_server",)


def _cloudwatch_settings(facts: Facts) -> Settings:
    # As many metrics as there can be: those of subnets too.
    wanted = {"EXPORTER_CLOUDWATCH": "true", "EXPORTER_CLOUDWATCH_SUBNETS": "true"}
    return {**wanted, **facts["aws_environment"]}


FLEET = "fleet"
# The fleet comes first: what it tells of itself the others are given.
PEERS: Mapping[str, Peer] = {
    FLEET: Peer(command=_fleet, settings=_fleet_settings, hurry={"EXPORTER_INTERVAL": "0.5"}),
    "ec2": Peer(
        command=_ec2,
        settings=_ec2_settings,
        hurry={"EXPORTER_EC2_ENIS_INTERVAL": "4", "EXPORTER_EC2_SUBNETS_INTERVAL": "2"},
    ),
    "cloudwatch": Peer(
        command=_cloudwatch,
        settings=_cloudwatch_settings,
        hurry={"EXPORTER_CLOUDWATCH_INTERVAL": "2"},
    ),
}
OTHERS = tuple(name for name in PEERS if name != FLEET)


def hurry(*peers: str) -> Settings:
    """Return the settings by which the daemon turns to the fleet and these again and again."""
    return {name: text for peer in (FLEET, *peers) for name, text in PEERS[peer].hurry.items()}


@dataclass(frozen=True, slots=True)
class World:
    """The peers that run, each with what it told of itself."""

    size: Size
    folder: Path
    processes: Mapping[str, Child]
    facts: Mapping[str, Facts]

    def settings(self, *peers: str) -> Settings:
        """Return the settings with which a daemon finds the fleet, and these peers too."""
        found: dict[str, str] = {}
        for name in (FLEET, *peers):
            found |= PEERS[name].settings(self.facts[name])
        return found

    def control(self, path: str, body: object = None) -> Any:
        """Return what the fleet's control answers; a body makes it a POST."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(self.facts[FLEET]["control"] + path, data, headers)
        with urllib.request.urlopen(asked, timeout=_CONTROL_SECONDS) as answer:
            return json.load(answer)

    def step(self) -> None:
        """Move every node on: its pods, its addresses, its counters."""
        self.control("/step", {})

    def nodes(self) -> list[str]:
        """Return the names of the nodes that run aws-node."""
        found = self.control("/state")["nodes"]
        return [node["name"] for node in found if node["kind"] == "regular"]

    def fleet_cpu_seconds(self) -> float:
        """Return the CPU time that the fleet has used."""
        return cpu_seconds(self.processes[FLEET].pid)


@contextlib.contextmanager
def world(
    size: Size, folder: Path, *peers: str, story: Sequence[str] = (), core: int | None = PEER_CORE
) -> Iterator[World]:
    """Run a fleet, moved as `story` says, and these peers; all are ended when this is left."""
    _room_for(size)
    processes: dict[str, Child] = {}
    facts: dict[str, Facts] = {}
    given: Facts = {"folder": folder, "story": story}
    with contextlib.ExitStack() as stack:
        for name in (FLEET, *peers):
            command = PEERS[name].command(size, {**given, **facts.get(FLEET, {})})
            log = folder / f"{name}.log"
            process = stack.enter_context(running(command, {}, core=core, log=log))
            # Who waits for an answer, and measures how long, goes first on the core they share.
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
            processes[name], facts[name] = process, _told(process, name, log)
        yield World(size, folder, processes, facts)


def _told(process: Child, name: str, log: Path) -> Facts:
    """What a peer says of itself, on one line, once it serves."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"the {name} did not start: {log.read_text()[-2_000:]}")
    told: Facts = json.loads(line)
    return told


def _room_for(size: Size) -> None:
    """A fleet listens on a socket per node, of which the system allows so many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = int(size.nodes * _SOCKETS_PER_NODE) + _OTHER_SOCKETS
    if most != resource.RLIM_INFINITY and needed > most:
        raise SystemExit(
            f"{size.nodes} nodes open up to {needed} sockets, and `ulimit -Hn` allows {most}"
        )


def eventually(look: Callable[[], bool], process: Child, what: str, seconds: float = 300.0) -> None:
    """Wait until `look` finds what it looks for; SystemExit when it does not, or a process ends."""
    deadline = time.monotonic() + seconds
    while not look():
        if process.poll() is not None:
            raise SystemExit(f"the process ended ({process.returncode}) before: {what}")
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.005)
