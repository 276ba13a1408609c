"""The simulation's face over HTTP, for tests in other processes: state, truth, steps, faults,
events.

Every answer is JSON; a request that makes no sense is answered 400 with an `error`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from exporter.sim.bindings import rules_of
from exporter.sim.ec2_server import Ec2Server
from exporter.sim.eks_server import EksServer
from exporter.sim.living.trial import Trial, rest, world_of
from exporter.sim.nodes import Node
from exporter.sim.simulation import Simulation
from exporter.sim.vpc import Refusal

Body = dict[str, Any]
_PLAN = ("action", "times", "after", "seconds")


class Control:
    """The control requests of one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def application(self) -> web.Application:
        """Return the control interface as an aiohttp application."""
        app = web.Application(middlewares=[_told_apart])
        app.add_routes(
            [
                web.get("/state", self._state),
                web.get("/truth", self._truth),
                web.get("/requests", self._requests),
                web.post("/requests/clear", self._clear),
                web.post("/books/forget", self._forget),
                web.get("/room", self._room),
                web.post("/rest", self._rest),
                web.post("/step", self._step),
                web.post("/faults", self._faults),
                web.post("/introspection", self._introspection),
                web.post("/events", self._events),
                web.post("/api", self._api),
                web.post("/ec2", self._ec2),
                web.post("/eks", self._eks),
                web.get("/cloudwatch", self._taken),
                web.post("/cloudwatch", self._cloudwatch),
                web.post("/minute", self._minute),
                web.post("/subnets", self._subnets),
                web.post("/subnets/crowd", self._crowd),
                web.post("/subnets/sweep", self._sweep),
                web.post("/workload", self._workload),
                web.post("/eniconfigs", self._eni_configs),
                web.post("/tokens", self._tokens),
                web.post("/callers", self._callers),
                web.post("/grants", self._grants),
            ]
        )
        return app

    async def _state(self, _request: web.Request) -> web.Response:
        simulation = self._simulation
        nodes = [_shown(node) for node in simulation.cluster.nodes.values()]
        mode = simulation.api.trouble.mode
        return _json(
            {
                "step": simulation.steps,
                "now": simulation.clock(),
                "api": mode,
                **simulation.told,
                "nodes": nodes,
            }
        )

    async def _truth(self, _request: web.Request) -> web.Response:
        return _json(self._simulation.truth())

    async def _requests(self, _request: web.Request) -> web.Response:
        asked = {name: it.api.summary() for name, it in self._aws().items()}
        return _json({**self._simulation.traffic.summary(), **asked})

    async def _clear(self, _request: web.Request) -> web.Response:
        self._simulation.traffic.clear()
        for service in self._aws().values():
            service.api.requests.clear()
        return _json({})

    async def _forget(self, _request: web.Request) -> web.Response:
        self._simulation.ledger.forget()
        for service in self._aws().values():
            service.forget()
        return _json({})

    async def _room(self, _request: web.Request) -> web.Response:
        # It takes seconds, and nodes must go on answering.
        trial = Trial.of(world_of(self._simulation.story))
        return _json(await asyncio.to_thread(trial.told))

    async def _rest(self, _request: web.Request) -> web.Response:
        rest(world_of(self._simulation.story))
        await self._simulation.step(0)  # no step, but what there is now is told
        return _json({})

    async def _step(self, request: web.Request) -> web.Response:
        body = await _body(request)
        seconds = float(body["seconds"]) if "seconds" in body else None
        reached = await self._simulation.step(int(body.get("count", 1)), seconds=seconds)
        return _json({"step": reached})

    async def _faults(self, request: web.Request) -> web.Response:
        body = await _body(request)
        if "share" in body:
            return _json({"nodes": await self._simulation.spread_faults(float(body["share"]))})
        names = self._names(body)
        return _json({"nodes": await self._simulation.set_fault(names, body.get("fault"))})

    async def _introspection(self, request: web.Request) -> web.Response:
        body = await _body(request)
        names = self._names(body)
        return _json({"nodes": await self._simulation.set_reach(names, body["state"])})

    async def _events(self, request: web.Request) -> web.Response:
        body = await _body(request)
        names = self._names(body) if body["event"] != "join" else []
        return _json({"nodes": await self._simulation.event(body["event"], names)})

    async def _api(self, request: web.Request) -> web.Response:
        body = await _body(request)
        await self._simulation.api_trouble(
            body.get("trouble"), seconds=float(body.get("seconds", 1.0))
        )
        return _json({})

    async def _ec2(self, request: web.Request) -> web.Response:
        body = await _body(request)
        ec2 = self._living_ec2()
        ec2.count_reserved = bool(body.pop("count_reserved", ec2.count_reserved))
        if "trouble" in body:
            await ec2.set_trouble(body.pop("trouble"), **body)
        return _json(ec2.state())

    async def _eks(self, request: web.Request) -> web.Response:
        body = await _body(request)
        if (eks := self._simulation.eks) is None:
            raise ValueError("only a living cluster has EKS")
        eks.change(body)
        if "trouble" in body:
            plan = {name: body[name] for name in _PLAN if name in body}
            await eks.set_trouble(body["trouble"], **plan)
        return _json(eks.state())

    async def _taken(self, _request: web.Request) -> web.Response:
        return _json(self._simulation.cloudwatch.state())

    async def _cloudwatch(self, request: web.Request) -> web.Response:
        body = await _body(request)
        await self._simulation.cloudwatch.set_trouble(body.pop("trouble"), **body)
        return _json({})

    async def _minute(self, _request: web.Request) -> web.Response:
        return _json(self._simulation.minute())

    async def _subnets(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return _json({"subnet": self._living_ec2().add_subnet(body["cidr"])})

    async def _crowd(self, request: web.Request) -> web.Response:
        body = await _body(request)
        owner = str(body.get("owner", ""))
        self._living_ec2().crowd(body["subnet"], int(body["enis"]), owner=owner)
        return _json({})

    async def _sweep(self, _request: web.Request) -> web.Response:
        return _json({"enis": world_of(self._simulation.story).foreign.sweep()})

    async def _workload(self, request: web.Request) -> web.Response:
        body = await _body(request)
        workload = world_of(self._simulation.story).workload
        workload.deployments[body["deployment"]].extra = int(body["extra"])
        return _json({name: it.extra for name, it in workload.deployments.items()})

    async def _eni_configs(self, request: web.Request) -> web.Response:
        body = await _body(request)
        cluster = self._simulation.cluster
        cluster.configure_enis(body["name"], body["subnet"])
        return _json(cluster.eni_configs)

    async def _tokens(self, request: web.Request) -> web.Response:
        body = await _body(request)
        tokens, profile = self._simulation.tokens, str(body.get("profile", "full"))
        made = {
            "rotate": self._simulation.rotate,
            "issue": tokens.issue,
            "current": tokens.current,
        }
        return _json({"token": made[body.get("do", "current")](profile)})

    async def _callers(self, request: web.Request) -> web.Response:
        body = await _body(request)
        callers = self._simulation.callers
        match body["do"]:
            case "issue":
                token = callers.issue(
                    body["user"], body.get("groups", ()), seconds=body.get("seconds")
                )
                return _json({"token": token})
            case "permit":
                callers.permit(body["subject"], body["paths"])
            case "revoke":
                callers.revoke(body["token"])
            case other:
                raise ValueError(f"callers cannot {other!r}")
        return _json({})

    async def _grants(self, request: web.Request) -> web.Response:
        body = await _body(request)
        rules = rules_of(body["manifests"], body["namespace"], body["account"])
        self._simulation.tokens.grant(rules)
        return _json({"rules": len(rules)})

    def _aws(self) -> Mapping[str, Ec2Server | EksServer]:
        """The services of AWS that there are, by name."""
        services = {"ec2": self._simulation.ec2, "eks": self._simulation.eks}
        return {name: it for name, it in services.items() if it is not None}

    def _living_ec2(self) -> Ec2Server:
        if (ec2 := self._simulation.ec2) is None:
            raise ValueError("only a living cluster has EC2")
        return ec2

    def _names(self, body: Body) -> list[str]:
        """Take the names given, or all expected nodes for `"all"`."""
        named = body["nodes"]
        if named == "all":
            return [node.name for node in self._simulation.cluster.expected]
        return [named] if isinstance(named, str) else list(named)


@web.middleware
async def _told_apart(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (KeyError, ValueError, TypeError, Refusal) as error:
        return _json({"error": f"{type(error).__name__}: {error}"}, status=400)


async def _body(request: web.Request) -> Body:
    text = await request.read()
    return msgspec.json.decode(text or b"{}", type=Body)


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )


def _shown(node: Node) -> dict[str, object]:
    machine = node.machine
    return {
        "name": node.name,
        "address": node.address,
        "kind": machine.kind,
        "zone": machine.zone,
        "nodegroup": machine.group,
        "instance_type": machine.instance_type,
        "fault": node.fault,
        "introspection": node.reach,
        "pods": [
            {
                "name": pod.name,
                "uid": pod.uid,
                "phase": pod.phase,
                "version": pod.version,
                "terminating": pod.terminating,
            }
            for pod in node.pods
        ],
    }
