"""Runs a simulation as a process: prints one JSON line that says where it is, and then serves.

It stops at SIGTERM or SIGINT, or when the pipe that is its standard input is closed, so that it
never outlives who started it.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import stat
import sys
from pathlib import Path

from exporter.sim.connections import IDLE_SECONDS
from exporter.sim.control import Control
from exporter.sim.kube_api import BOOKMARK_SECONDS
from exporter.sim.listener import Listener
from exporter.sim.living.all_scenarios import SCENARIOS
from exporter.sim.options import REACHES, STARTUP_SECONDS, Options
from exporter.sim.simulation import Simulation


def main() -> int:
    """Run until stopped."""
    arguments = _parser().parse_args()
    _allow_many_sockets()
    if arguments.uvloop:
        import uvloop  # noqa: PLC0415  # only where it is asked for: it has no wheel for every platform

        uvloop.run(_serve(arguments))
    else:
        asyncio.run(_serve(arguments))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exporter.sim", description=__doc__)
    add = parser.add_argument
    add("--nodes", type=int, default=50, help="regular nodes of the fleet (default 50)")
    add("--seed", type=int, default=1, help="what decides the fleet and its movement (default 1)")
    add("--faults", type=float, default=0.0, help="share of nodes with a fault from the start")
    add("--lean", action="store_true", help="let nodes of a fleet share pages, for ten thousand")
    add("--living", action="store_true", help="let pods, pools and subnets live")
    add("--scenario", choices=list(SCENARIOS), help="what happens to a living cluster (normal)")
    add("--speed", type=float, default=30.0, help="simulated seconds per step of a living cluster")
    add("--replay", type=Path, help="play the recorded polls of this directory instead of a fleet")
    add("--loopback-only", action="store_true", help="use 127.0.0.1 alone: pods by proxy only")
    add("--address-base", default="127.64.0.0", help="where the nodes' addresses begin")
    add("--kubeconfig", type=Path, help="write a kubeconfig here, and remove it at the end")
    add("--profile", default="full", help="whose token the kubeconfig holds (default full)")
    add(
        "--listen-port", type=int, default=0, help="port of the aws-node pods (default: a free one)"
    )
    add("--api-port", type=int, default=0, help="port of the Kubernetes API")
    add("--ec2-port", type=int, default=0, help="port of a living cluster's EC2")
    add("--eks-port", type=int, default=0, help="port of a living cluster's EKS")
    add("--cloudwatch-port", type=int, default=0, help="port of CloudWatch")
    add("--count-reserved", action="store_true", help="EC2 counts reserved addresses as available")
    add("--control-port", type=int, default=0, help="port of the control interface")
    add("--introspection-port", type=int, default=0, help="port of ipamd's introspection")
    add("--introspection", choices=list(REACHES), default="none", help="nodes that can be asked")
    add("--env", type=_variable, action="append", default=[], help="aws-node variable, NAME=VALUE")
    add("--startup", type=float, default=STARTUP_SECONDS, help="seconds a new pod is pending")
    add("--idle", type=float, default=IDLE_SECONDS, help="seconds until an idle connection closes")
    add("--bookmarks", type=float, default=BOOKMARK_SECONDS, help="seconds between bookmarks")
    add("--uvloop", action="store_true", help="run on uvloop")
    return parser


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


async def _serve(arguments: argparse.Namespace) -> None:
    simulation = _simulation(arguments)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    _stop_with_parent(loop, stopped)
    control = Listener(Control(simulation).application(), port=arguments.control_port)
    async with simulation:
        await simulation.spread_faults(arguments.faults)
        await control.start()
        print(json.dumps(_where(simulation, control)), flush=True)
        await stopped.wait()
        await control.stop()


def _simulation(arguments: argparse.Namespace) -> Simulation:
    options = Options(
        seed=arguments.seed,
        base=arguments.address_base,
        pods_port=arguments.listen_port,
        api_port=arguments.api_port,
        loopback_only=arguments.loopback_only,
        kubeconfig=arguments.kubeconfig,
        profile=arguments.profile,
        env=dict(arguments.env),
        startup=arguments.startup,
        idle=arguments.idle,
        bookmarks=arguments.bookmarks,
        speed=arguments.speed,
        ec2_port=arguments.ec2_port,
        eks_port=arguments.eks_port,
        cloudwatch_port=arguments.cloudwatch_port,
        count_reserved=arguments.count_reserved,
        introspection=arguments.introspection,
        introspection_port=arguments.introspection_port,
    )
    if arguments.replay is not None:
        return Simulation.replay(arguments.replay, options)
    if arguments.living or arguments.scenario:
        scenario = arguments.scenario or "normal"
        return Simulation.living(arguments.nodes, options, scenario=scenario)
    return Simulation.fleet(arguments.nodes, options, lean=arguments.lean)


def _where(simulation: Simulation, control: Listener) -> dict[str, object]:
    path = simulation.options.kubeconfig
    services = [it for it in (simulation.ec2, simulation.eks) if it is not None]
    aws = {name: text for service in services for name, text in service.environment().items()}
    found: dict[str, object] = {"aws_environment": aws} if aws else {}
    return {
        "api": simulation.api_url,
        "control": control.url,
        "kubeconfig": str(path) if path is not None else None,
        "token": simulation.token(),
        "ipamd_port": simulation.ipamd_port,
        "introspection_port": simulation.introspection_port,
        "namespace": simulation.namespace,
        "cloudwatch_environment": simulation.cloudwatch.environment(),
        **found,
    }


def _stop_with_parent(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Watch standard input where it is a pipe; a terminal or /dev/null tells nothing."""
    number = sys.stdin.fileno()
    mode = os.fstat(number).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def readable() -> None:
        if not os.read(number, 4096):
            loop.remove_reader(number)
            stopped.set()

    loop.add_reader(number, readable)


def _allow_many_sockets() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
