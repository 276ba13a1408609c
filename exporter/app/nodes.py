"""How the nodes are read, by the settings."""

from __future__ import annotations

from exporter.inputs.introspection import AskingConfig, Introspections
from exporter.inputs.kube import Kube
from exporter.inputs.nodes import Nodes, NodesConfig, direct, directly
from exporter.settings import Settings

# ipamd's introspection is waited for so long, and at most for this share of a node's time.
_INTROSPECTION_SECONDS = 1.0
_INTROSPECTION_SHARE = 0.5


def nodes(settings: Settings, kube: Kube) -> Nodes:
    """Return what reads the nodes."""
    config = NodesConfig(
        port=settings.ipamd_metrics_port,
        timeout=settings.scrape_timeout,
        concurrency=settings.scrape_concurrency,
        allow_loopback=settings.allow_loopback_targets,
        check_addresses=settings.scrape_via == "direct",
    )
    fetch = (
        direct(config)
        if settings.scrape_via == "direct"
        else kube.proxy_fetch(port=config.port, timeout=config.timeout)
    )
    return Nodes(config, fetch, introspection=_introspections(settings, kube))


def _introspections(settings: Settings, kube: Kube) -> Introspections | None:
    if settings.introspection == "off":
        return None
    config = AskingConfig(
        port=settings.ipamd_introspection_port,
        interval=settings.introspection_interval,
        seconds=min(_INTROSPECTION_SECONDS, _INTROSPECTION_SHARE * settings.scrape_timeout),
    )
    at = directly if settings.scrape_via == "direct" else kube.proxy_fetch_at
    return Introspections(config, at)
