"""The HTTP server: /metrics, /healthz, /readyz and the page; bytes are ready before they are asked.

What is shown comes from a `View`; nothing here computes a figure.
"""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from jinja2 import Environment, StrictUndefined
from prometheus_client import CollectorRegistry

from exporter.core.health import Health
from exporter.core.report import Report
from exporter.core.subnets import SubnetUsage
from exporter.outputs.listener import listening
from exporter.outputs.picture import GROUPS, UNTIL, grouped
from exporter.outputs.prometheus import Block, Format, finish, own_lines

HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
_SHOWN_PROBLEMS = 50
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


class View(Protocol):
    """What an outlet is given: the report, or none if it is too old, and the health."""

    @property
    def health(self) -> Health:
        """The exporter's own state."""

    @property
    def report(self) -> Report | None:
        """The latest report, None while there is none or once it is too old."""

    @property
    def accounts(self) -> tuple[SubnetUsage, ...]:
        """The latest accounts of the subnets, none while there are none or they are too old."""

    async def block(self, form: Format) -> Block:
        """Return that report as families of one format, empty where there is none."""


def negotiate(accept: str) -> Format:
    """Return the format that an Accept header asks for; text where it does not care."""
    weights = {Format.TEXT: 0.0, Format.OPENMETRICS: 0.0}
    for entry in accept.lower().split(","):
        media, *given = (part.strip() for part in entry.split(";"))
        parameters = dict(part.split("=", 1) for part in given if "=" in part)
        version = parameters.get("version", "").strip('"')
        if media == "application/openmetrics-text" and version in ("", "1.0.0"):
            form = Format.OPENMETRICS
        elif media in ("text/plain", "text/*", "*/*"):
            form = Format.TEXT
        else:
            continue
        weights[form] = max(weights[form], _weight(parameters.get("q", "1")))
    openmetrics = weights[Format.OPENMETRICS]
    wanted = openmetrics > 0 and openmetrics >= weights[Format.TEXT]
    return Format.OPENMETRICS if wanted else Format.TEXT


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header names gzip and does not refuse it by a weight of 0."""
    for entry in accept_encoding.lower().split(","):
        coding, _, weight = (part.strip() for part in entry.partition(";"))
        if coding == "gzip":
            return _weight(weight.removeprefix("q=") or "1") > 0
    return False


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


class Pages:
    """The handlers, over one view."""

    def __init__(self, view: View, registry: CollectorRegistry) -> None:
        """Show `view`, and beside it the process figures in `registry`."""
        self._view = view
        self._registry = registry
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        page = files("exporter.outputs").joinpath("page.html").read_text(encoding="utf-8")
        self._template = environment.from_string(page)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer /metrics in the format and encoding that the scraper prefers."""
        form = negotiate(request.headers.get("Accept", ""))
        gzipped = takes_gzip(request.headers.get("Accept-Encoding", ""))
        own = own_lines(self._view.health, self._registry, form)
        body = finish(await self._view.block(form), own, form, gzipped=gzipped)
        headers = {"Content-Type": form.value, "Vary": "Accept, Accept-Encoding"}
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def healthz(self, _: web.Request) -> web.Response:
        """Answer that the event loop turns."""
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 while there is a report that is not too old, else 503 and what is missing."""
        if self._view.report is not None:
            return web.Response(text="ok\n")
        down = [
            f"{source.value}: {state.reason}\n"
            for source, state in self._view.health.sources.items()
            if not state.up
        ]
        return web.Response(status=503, text="no report\n" + "".join(down))

    async def page(self, request: web.Request) -> web.Response:
        """Answer the page for people."""
        report = self._view.report
        problems = report.problems if report else ()
        html = self._template.render(
            report=report,
            health=self._view.health,
            problems=problems[:_SHOWN_PROBLEMS],
            subnets=self._view.accounts,
            grouped=grouped,
            groups=tuple(GROUPS),
            until=UNTIL,
            more=max(len(problems) - _SHOWN_PROBLEMS, 0),
        )
        headers = {**_HEADERS, "Vary": "Accept-Encoding"}
        body = html.encode()
        if takes_gzip(request.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name the paths there are to whoever asks for another."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return web.Response(status=404, text="try /metrics, /healthz, /readyz or /\n")


def application(
    pages: Pages, *, figures: bool = True, health: bool = True, gate: Middleware | None = None
) -> web.Application:
    """Return the routes of a server: the figures, the health or both, behind a gate or none."""
    # The gate comes first: whether a path exists is told to those only whom it lets through.
    app = web.Application(middlewares=[*((gate,) if gate else ()), _plain_errors])
    if figures:
        app.router.add_get("/metrics", pages.metrics)
        app.router.add_get("/", pages.page)
    if health:
        app.router.add_get("/healthz", pages.healthz)
        app.router.add_get("/readyz", pages.readyz)
    return app


@asynccontextmanager
async def serving(pages: Pages, host: str | None, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve all to all until left; give the address that is listened on.

    OSError where it is not free.
    """
    async with listening(application(pages), host, port) as listener:
        yield listener.address
