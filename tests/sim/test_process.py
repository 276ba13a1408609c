"""The simulator as a process of its own: what it prints, and that it leaves nothing behind."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "exporter.sim", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as running:
        assert running.stdout is not None
        try:
            yield running, json.loads(running.stdout.readline())
        finally:
            running.kill()


def fetched(url: str, token: str = "") -> Any:
    with urlopen(Request(url, headers={"Authorization": f"Bearer {token}"}), timeout=5) as reply:
        return json.load(reply)


def refused(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0


def test_one_line_says_where_everything_is(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    with process("--nodes", "3", "--faults", "0.34", "--kubeconfig", str(path)) as (_, where):
        config = yaml.safe_load(path.read_text())
        assert where["kubeconfig"] == str(path)
        assert where["namespace"] == "kube-system"
        assert config["clusters"][0]["cluster"] == {"server": where["api"]}
        assert config["users"][0]["user"] == {"token": where["token"]}
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(fetched(where["api"] + "/api/v1/nodes", where["token"])["items"]) == 6
        state = fetched(where["control"] + "/state")
        assert [node["fault"] for node in state["nodes"] if node["fault"]] == ["refuse"]
        served = next(node for node in state["nodes"] if not node["fault"])
        assert not refused(where["ipamd_port"], served["address"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_nothing_is_left(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    with process("--nodes", "2", "--kubeconfig", str(path)) as (running, where):
        running.send_signal(number)
        assert running.wait(5) == 0
        assert list(tmp_path.iterdir()) == []
        assert refused(int(where["api"].rpartition(":")[2]))
        assert refused(where["ipamd_port"], "127.64.0.1")


@pytest.mark.parametrize("loop", [[], ["--uvloop"]], ids=["asyncio", "uvloop"])
def test_it_ends_when_its_parent_closes_its_input(loop: list[str]) -> None:
    with process("--nodes", "2", *loop) as (running, where):
        assert running.stdin is not None
        running.stdin.close()
        assert running.wait(5) == 0
        assert refused(int(where["control"].rpartition(":")[2]))


def test_a_node_goes_and_comes_back_on_uvloop_too() -> None:
    with process("--nodes", "1", "--uvloop") as (_, where):
        (node, *_) = fetched(where["control"] + "/state")["nodes"]
        seen = []
        for fault in ("refuse", None, "hang_connect", None):
            body = json.dumps({"nodes": [node["name"]], "fault": fault}).encode()
            with urlopen(where["control"] + "/faults", data=body, timeout=5) as reply:
                assert reply.status == 200
            seen.append(_answers(node["address"], where["ipamd_port"]))
        assert seen == [False, True, False, True]


def _answers(host: str, port: int) -> bool:
    try:
        with urlopen(f"http://{host}:{port}/metrics", timeout=0.5) as reply:
            return bool(reply.read())
    except OSError:
        return False


def test_a_replay_runs_as_a_process() -> None:
    directory = ROOT / "tests" / "data" / "polls" / "01_two_nodes_steady"
    with process("--replay", str(directory)) as (_, where):
        pods = [node["pods"][0]["name"] for node in fetched(where["control"] + "/state")["nodes"]]
        assert pods == ["aws-node-aaaaa", "aws-node-bbbbb"]


def test_with_one_loopback_address_pods_listen_there_alone() -> None:
    with process("--nodes", "2", "--loopback-only", "--profile", "full_proxy") as (_, where):
        (node, *_) = fetched(where["control"] + "/state")["nodes"]
        pod = f"{node['pods'][0]['name']}:{where['ipamd_port']}"
        path = f"/api/v1/namespaces/{where['namespace']}/pods/{pod}/proxy/metrics"
        request = Request(
            where["api"] + path, headers={"Authorization": "Bearer " + where["token"]}
        )
        with urlopen(request, timeout=5) as reply:
            assert reply.read().startswith(b"# HELP awscni_")
        assert refused(where["ipamd_port"], node["address"])


def test_a_variable_of_aws_node_can_be_given_to_the_whole_cluster() -> None:
    with process("--nodes", "1", "--env", "WARM_IP_TARGET=5") as (_, where):
        path = f"/apis/apps/v1/namespaces/{where['namespace']}/daemonsets/aws-node"
        daemonset = fetched(where["api"] + path, where["token"])
        (container,) = daemonset["spec"]["template"]["spec"]["containers"]
        assert {"name": "WARM_IP_TARGET", "value": "5"} in container["env"]
