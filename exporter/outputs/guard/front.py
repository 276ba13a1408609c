"""Serves the pages behind their gate, and health where probes reach it; keeps the rules current.

A secret that Kubernetes mounts changes by a link, some time after it was changed; so its files
are looked at every few seconds, and the TLS context of the next handshake is that of today.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.outputs.guard.document import WebConfigError
from exporter.outputs.guard.gate import Gate
from exporter.outputs.guard.rules import Rules, load
from exporter.outputs.guard.tokens import Review, Tokens
from exporter.outputs.listener import Listener, listening
from exporter.outputs.web import HEALTH_PATHS, Pages, application

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0

Place = tuple[str | None, int]


def _ignore(trouble: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontConfig:
    """Where the pages and their health are served, and who may see the pages.

    `note` is told after each reading of the web-config what is wrong with it, or nothing.
    """

    place: Place
    health: Place | None = None
    web_config: Path | None = None
    review: Review | None = None
    note: Callable[[str], None] = _ignore


@dataclass(slots=True)
class Front:
    """What is served, while it is: where, and by which rules."""

    config: FrontConfig
    gate: Gate
    pages: Listener
    health: Listener | None = None
    whole: bool = True

    @property
    def encrypted(self) -> bool:
        """Whether the pages are served by TLS."""
        return self.gate.rules.context is not None

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Follow the web-config and its files until cancelled."""
        while True:
            await sleep(POLL_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take new rules over where files have changed; what cannot be used changes nothing."""
        path = self.config.web_config
        if path is None or (self.whole and await asyncio.to_thread(self.gate.rules.current)):
            return
        try:
            apart = self.health is not None
            await self._take(await asyncio.to_thread(load, path, health_apart=apart))
        except (WebConfigError, OSError) as error:
            self.whole = False
            self.config.note(f"{error}; what was read before stays in force")
        else:
            self.whole = True
            log.info("the web-config was read anew", extra={"path": str(path)})
            self.config.note("")

    async def _take(self, rules: Rules) -> None:
        if not rules.same_kinds(self.gate.rules):
            text = "TLS and passwords are switched on and off by a restart only"
            raise WebConfigError([f"{self.config.web_config}: {text}"])
        if rules.context is None:
            self.gate.rules = rules
            return
        await self.pages.renew(rules.context)
        self.gate.rules = rules
        await self.pages.retire()


@asynccontextmanager
async def serving(config: FrontConfig, pages: Pages) -> AsyncIterator[Front]:
    """Serve until left; OSError where an address is not free, `WebConfigError` for the file.

    Health is on its own address where it has one; on the first it is only where it has none, or
    where all may see everything there.
    """
    rules = await _first_rules(config)
    gate = Gate(rules, None if config.review is None else Tokens(config.review))
    guarded = rules.context is not None or bool(gate.schemes)
    both = config.health is None or not guarded
    if both:
        gate.open_paths = HEALTH_PATHS
    first = application(pages, health=both, gate=gate.middleware)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        front = Front(
            config, gate, await enter(listening(first, *config.place, context=rules.context))
        )
        if config.health is not None:
            probed = application(pages, figures=False)
            front.health = await enter(listening(probed, *config.health))
        yield front


async def _first_rules(config: FrontConfig) -> Rules:
    if config.web_config is None:
        return Rules()
    apart = config.health is not None
    rules = await asyncio.to_thread(load, config.web_config, health_apart=apart)
    for warning in rules.config.warnings:
        log.warning(warning)
    config.note("")
    return rules
