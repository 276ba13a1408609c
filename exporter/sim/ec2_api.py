"""EC2 over HTTP on loopback: forms in, XML out, and every trouble that the way there can have.

What an action answers is told in `ec2_actions`, and how it is sent in `wire`; signatures are not
checked, only asked for.
"""

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from aiohttp import web

from exporter.sim import ec2_xml
from exporter.sim.ec2_actions import Ec2
from exporter.sim.ec2_protocol import Refused, form
from exporter.sim.ec2_troubles import refuse
from exporter.sim.troubles import Plan, Trouble, Troubles
from exporter.sim.wire import sent, troubled

_XML = "text/xml;charset=UTF-8"


class Ec2Api:
    """The requests to one EC2: served, troubled and counted by action and outcome.

    `heard` is told of every answer without trouble: action, what was asked, and the body.
    """

    def __init__(self, ec2: Ec2, *, clock: Callable[[], float] = time.time) -> None:
        self.ec2 = ec2
        self.first_told: float | None = None
        self.heard: Callable[[str, Mapping[str, str], bytes], None] = lambda *_: None
        self.troubles = Troubles()
        self.requests: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._clock = clock

    def summary(self) -> dict[str, dict[str, int]]:
        """Return how often each action was asked for, by how it ended."""
        return {action: dict(ended) for action, ended in self.requests.items()}

    def application(self) -> web.Application:
        """Return EC2 as an aiohttp application."""
        app = web.Application()
        app.add_routes([web.post("/", self._answer)])
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        fields = form(await request.read())
        action = fields.get("Action", "")
        number = str(uuid.uuid4())
        signed = bool(request.headers.get("Authorization"))
        plan = self.troubles.next(action) if signed else Plan(Trouble.AUTH_FAILURE)
        try:
            body = self._found(fields, number, plan=plan)
        except Refused as refused:
            self.requests[action][refused.code] += 1
            body = ec2_xml.error(refused.code, refused.message, number)
            return await sent(request, _headed(number, status=refused.status), body)
        self.requests[action][plan.trouble if plan is not None else "ok"] += 1
        if plan is None and action == "DescribeSubnets" and self.first_told is None:
            self.first_told = self._clock()
        if plan is None:
            self.heard(action, fields, body)
        return await troubled(request, _headed(number), body, plan=plan)

    def _found(self, fields: dict[str, str], number: str, *, plan: Plan | None) -> bytes:
        action = fields.get("Action")
        if plan is not None:
            refuse(plan.trouble)
        if not action:
            raise Refused("MissingAction", "The request must contain the parameter Action")
        if action not in self.ec2.actions:
            message = f"The action {action} is not valid for this web service."
            raise Refused("InvalidAction", message)
        empty = plan is not None and plan.trouble is Trouble.EMPTY_PAGE
        return self.ec2.actions[action].answer(fields, number, empty=empty)


def _headed(number: str, *, status: int = 200) -> web.StreamResponse:
    headers = {"Content-Type": _XML, "Server": "AmazonEC2", "x-amzn-RequestId": number}
    return web.StreamResponse(status=status, headers=headers)
