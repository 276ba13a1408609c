"""What a release of ipamd makes of its environment: a setting it does not know yet says nothing."""

from collections.abc import Mapping
from dataclasses import replace

from exporter.core.pool import Settings
from exporter.sim.flags import is_on
from exporter.sim.ipamd import Release

_DEFAULT = Settings()
# Since when a setting is known (reference 3.1, 5.3).
_MINIMUM_IP = (1, 6)
_POD_ENI = (1, 7)
_PREFIXES = (1, 9)
_COOLDOWN = (1, 15)
_DISCOVERY = (1, 18)
_CARDS = (1, 20)


def settings_of(env: Mapping[str, str], version: str) -> Settings:
    """Return the settings in force; custom networking leaves nothing to subnet discovery."""
    settings, release = Settings.from_env(env), Release.of(version)
    if release < _DISCOVERY or settings.custom_networking:
        settings = replace(settings, subnet_discovery=False)
    if release < _COOLDOWN:
        settings = replace(settings, cooldown=_DEFAULT.cooldown)
    if release < _PREFIXES:
        settings = replace(settings, prefix_delegation=False)
    if release < _POD_ENI:
        settings = replace(settings, pod_eni=False)
    if release < _MINIMUM_IP:
        settings = replace(settings, minimum_ip=0)
    return settings


def manages_all_cards(env: Mapping[str, str], version: str) -> bool:
    """Whether ipamd gives pods addresses on the other network cards too."""
    return is_on(env, "ENABLE_MULTI_NIC") and Release.of(version) >= _CARDS
