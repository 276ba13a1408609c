"""Who may see the figures and where, by the settings."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from exporter.board import Board
from exporter.core.access import Verdict
from exporter.core.health import Source, SourceHealth
from exporter.core.model import Unavailable
from exporter.inputs.kube import Kube
from exporter.outputs.guard import Front, FrontConfig
from exporter.settings import Settings

log = logging.getLogger(__name__)


def split_address(address: str) -> tuple[str | None, int]:
    """Return host and port of a listen address; no host is None, for all addresses."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or None, int(port)


def front_config(settings: Settings, kube: Kube, board: Board) -> FrontConfig:
    """Who may see the pages, and where; what goes wrong with that is told as of any source."""

    def note(source: Source, trouble: str) -> None:
        success = None if trouble else time.time()
        board.note(source, SourceHealth(not trouble, success, None, trouble))

    async def review(token: str) -> Verdict:
        try:
            verdict = await kube.review(token)
        except Unavailable as error:
            note(Source.REVIEWS, error.reason)
            raise
        note(Source.REVIEWS, "")
        return verdict

    return FrontConfig(
        place=split_address(settings.listen_address),
        health=split_address(settings.health_address) if settings.health_address else None,
        web_config=Path(settings.web_config) if settings.web_config else None,
        review=review if settings.token_auth else None,
        note=lambda trouble: note(Source.WEB_CONFIG, trouble),
    )


def tell(front: Front) -> None:
    """Say where is listened, and who may see what."""
    host, port = front.pages.address
    guard = {"tls": front.encrypted, "credentials": front.gate.schemes}
    log.info("listening", extra={"host": host, "port": port, **guard})
    if front.health is not None:
        host, port = front.health.address
        log.info("listening for probes", extra={"host": host, "port": port})
    if front.gate.schemes and not front.encrypted:
        log.warning("credentials cross the network in the clear: there is no TLS")
