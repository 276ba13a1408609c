"""Which settings and limits an aws-node goes by: its environment, as its release reads it."""

from __future__ import annotations

import sys
from dataclasses import replace

from exporter.core.model import Pod
from exporter.core.pool import Limits, Rules, Settings
from exporter.core.releases import reached


def settings_of(pod: Pod) -> Settings:
    """Return the settings in force; one that the release does not know is as if unset."""
    settings, version = Settings.from_env(pod.env), pod.cni_version
    # Reference 3.1, 3.5 and 5.3.
    return replace(
        settings,
        minimum_ip=settings.minimum_ip if reached(version, 1, 6) else 0,
        pod_eni=settings.pod_eni and reached(version, 1, 7),
        prefix_delegation=settings.prefix_delegation and reached(version, 1, 9),
        subnet_discovery=settings.subnet_discovery and reached(version, 1, 18),
    )


def rules_of(pod: Pod, limits: Limits) -> Rules:
    """Return what the pool on a node goes by; old releases do not care for max-pods."""
    if not reached(pod.cni_version, 1, 16, 3):
        limits = replace(limits, max_pods=sys.maxsize)
    return Rules.of(settings_of(pod), limits)
