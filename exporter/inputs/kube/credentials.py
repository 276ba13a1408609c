"""Who we are to the API server: the mounted service account, or a kubeconfig.

Reading them is `kubernetes.aio.config`'s; when to read them again is decided here.
"""

from __future__ import annotations

import asyncio
import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import aiohttp
import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import (
    ENV_KUBECONFIG_PATH_SEPARATOR,
    KubeConfigLoader,
    KubeConfigMerger,
)

from exporter.core.model import Unavailable
from exporter.inputs.kube.config import SYSTEM, KubeConfig, Timing
from exporter.inputs.kube.exec_plugin import run_plugin
from exporter.inputs.kube.proxy import proxy_for

# The kubelet replaces a token at 80 % of its life, so a minute's delay never matters.
_FILE_SECONDS = 60.0
# A new token some time before the old one ends, but not at each request however short it lives.
_EXPIRY_MARGIN = 60.0
_RENEW_PAUSE = 10.0

# What the library raises over files people write by hand; it checks little.
_LOADER_ERRORS = (
    ConfigException,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    yaml.YAMLError,
    aiohttp.ClientError,
)


class _ConfigNode(Protocol):
    """The part of the library's untyped kubeconfig tree that is used here."""

    value: dict[str, object]

    def __contains__(self, key: str) -> bool: ...

    def __getitem__(self, key: str) -> _ConfigNode: ...

    def safe_get(self, key: str) -> object: ...

    def get_with_name(self, name: object, safe: bool = False) -> _ConfigNode | None: ...


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the API server, and as whom."""

    configuration: Configuration
    authorization: str
    # What a connection depends on: where it changed, old connections are of no use.
    transport: tuple[object, ...]


class Credentials:
    """The current access, read again when it is due or was refused."""

    def __init__(self, config: KubeConfig, timing: Timing) -> None:
        self._config = config
        self._clock = timing.clock
        self._lock = asyncio.Lock()
        self._access: Access | None = None
        self._trouble: Exception | None = None
        self._due = -math.inf
        self._no_renewal_before = -math.inf

    async def current(self) -> Access:
        """Return the access to use now; one that cannot be read anew is used on."""
        if self._clock() >= self._due:
            async with self._lock:
                if self._clock() >= self._due:
                    await self._read()
        if self._access is None:
            raise self._unavailable() from self._trouble
        return self._access

    async def renew(self, refused: Access) -> Access:
        """Return another access than the one the API server refused, if there is one yet."""
        async with self._lock:
            if self._access is refused and self._clock() >= self._no_renewal_before:
                self._no_renewal_before = self._clock() + _RENEW_PAUSE
                await self._read()
        if self._access is None or self._trouble is not None:
            raise self._unavailable() from self._trouble
        return self._access

    async def _read(self) -> None:
        try:
            self._access, self._due = await _load(self._config, self._clock())
            self._trouble = None
        except _LOADER_ERRORS as error:
            self._trouble = error
            self._due = self._clock() + _RENEW_PAUSE

    def _unavailable(self) -> Unavailable:
        text = str(self._trouble) or type(self._trouble).__name__
        return Unavailable(SYSTEM, f"credentials: {text}"[:200])


async def _load(config: KubeConfig, now: float) -> tuple[Access, float]:
    """Return the access, and when to read it again."""
    configuration = Configuration()
    # Python 3.13 is strict about key identifiers, which the certificates of EKS do not have.
    configuration.disable_strict_ssl_verification = True
    if not config.kubeconfig and config.environ.get("KUBERNETES_SERVICE_HOST"):
        renew_at = _load_service_account(config, configuration, now)
    else:
        renew_at = await _load_kubeconfig(_paths(config), configuration, now)
    if not configuration.proxy:
        configuration.proxy = proxy_for(configuration.host, config.environ)
    authorization = str(configuration.api_key.get("BearerToken", "")).strip()
    if not (authorization.isascii() and authorization.isprintable()):
        raise ConfigException("the token holds characters that no header may")
    return Access(configuration, authorization, _transport(configuration)), renew_at


def _load_service_account(config: KubeConfig, configuration: Configuration, now: float) -> float:
    InClusterConfigLoader(  # type: ignore[no-untyped-call]
        token_filename=str(config.service_account / "token"),
        cert_filename=str(config.service_account / "ca.crt"),
        try_refresh_token=False,
        environ=config.environ,
    ).load_and_set(configuration)
    return now + _FILE_SECONDS


def _paths(config: KubeConfig) -> str:
    given = config.kubeconfig or str(
        Path(config.environ.get("HOME", "~")).expanduser() / ".kube/config"
    )
    paths = [path for path in given.split(ENV_KUBECONFIG_PATH_SEPARATOR) if Path(path).is_file()]
    if not paths:
        raise ConfigException(f"no service account and no kubeconfig at {given}")
    return ENV_KUBECONFIG_PATH_SEPARATOR.join(paths)


async def _load_kubeconfig(paths: str, configuration: Configuration, now: float) -> float:
    merged = cast(_ConfigNode, KubeConfigMerger(paths).config)  # type: ignore[no-untyped-call]
    user = _current_user(merged)
    renew_at = math.inf
    if user is not None and "exec" in user:
        renew_at = await _fill_in(user, now)
    elif user is not None and ("tokenFile" in user or "client-certificate" in user):
        renew_at = now + _FILE_SECONDS
    loader = KubeConfigLoader(merged, config_base_path=None)  # type: ignore[no-untyped-call]
    await loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    return renew_at


def _current_user(merged: _ConfigNode) -> _ConfigNode | None:
    context = merged["contexts"].get_with_name(merged["current-context"])
    name = context["context"].safe_get("user") if context is not None else None
    if not name or not merged.safe_get("users"):
        return None
    entry = merged["users"].get_with_name(name, safe=True)
    return entry["user"] if entry is not None else None


async def _fill_in(user: _ConfigNode, now: float) -> float:
    """Replace the exec plugin by what it gives, and return when it should be run again."""
    given = await run_plugin(user["exec"])
    del user.value["exec"]
    if given.token is not None:
        user.value["token"] = given.token
    if given.client_certificate_data is not None:
        user.value["client-certificate-data"] = _base64(given.client_certificate_data)
        user.value["client-key-data"] = _base64(given.client_key_data or "")
    if given.expiration_timestamp is None:
        return math.inf
    return max(given.expiration_timestamp.timestamp() - _EXPIRY_MARGIN, now + _RENEW_PAUSE)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _transport(configuration: Configuration) -> tuple[object, ...]:
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return (
        configuration.host,
        configuration.proxy,
        configuration.tls_server_name,
        configuration.verify_ssl,
        *(Path(path).read_bytes() if path else b"" for path in files),
    )
