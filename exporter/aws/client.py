"""Opens and keeps the client of one AWS service: region, credentials, time limits, errors.

Opening is slow and not safe between threads, so one client serves all, and is opened again only
where its region changed or its credentials turned out to be of no use.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.config import Config

from exporter import __version__
from exporter.aws.counts import RequestCounts, Requests
from exporter.aws.errors import Malformed, Outcome, Untrusted, credentials_read, opened, translated
from exporter.aws.service_model import ModelLoader
from exporter.core.model import Unavailable

_INSTANCE_METADATA = "iam-role"


def _nowhere() -> str:
    return ""


def _as_it_is(_client: Any) -> None:
    """Leave a client as botocore makes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsConfig:
    """Which service is asked for which operations, limits in seconds, how often it is tried.

    `region` counts where neither the environment nor an AWS profile names one; it may change.
    `prepare` is given each client that is opened. Credentials, endpoints and proxies are
    botocore's own variables.
    """

    service: str
    operations: tuple[str, ...]
    region: Callable[[], str] = _nowhere
    connect_seconds: float = 3.0
    # A service may think for some seconds before it sends the first byte of a long page.
    silence_seconds: float = 8.0
    attempts: int = 4
    retries: str = "adaptive"
    # From so many bytes on a request is compressed, where its service takes that.
    compress_bytes: int = 10_240
    prepare: Callable[[Any], None] = _as_it_is


class Service:
    """One service's operations; they block. Safe to use from several threads."""

    def __init__(self, config: AwsConfig) -> None:
        self._config = config
        self._counts = RequestCounts()
        self._lock = threading.Lock()
        self._client: Any = None
        self._credentials: Any = None
        self._region = ""
        self._told = False  # by the configuration, so that it may change

    def call(self, operation: str, **request: Any) -> Mapping[str, Any]:
        """Return the answer of an operation; raises `Unavailable` alone."""
        client = self._current()
        ask = getattr(client, xform_name(operation))
        try:
            with translated(self._config.service, operation):
                answer: Mapping[str, Any] = ask(**request)
        except Untrusted:
            self._forget(client)
            raise
        except Malformed:
            # botocore tells only of what it can read
            self._counts.add(self._config.service, operation, Outcome.FAILED)
            raise
        return answer

    def requests(self) -> Requests:
        """Return how many requests there were, by service, operation and outcome."""
        return self._counts.snapshot()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            self._close()

    def _current(self) -> Any:
        """Return a client whose credentials are fit for use; it may take a while."""
        with self._lock:
            if self._client is None or self._has_moved():
                self._close()
                self._open()
            with credentials_read(self._config.service):
                # Renewed here and not within the call, so that its failure says what failed.
                self._credentials.get_frozen_credentials()
            return self._client

    def _forget(self, client: Any) -> None:
        """Have the next one opened anew, unless that has happened since."""
        with self._lock:
            if self._client is client:
                self._close()

    def _has_moved(self) -> bool:
        return self._told and self._config.region() not in ("", self._region)

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> None:
        limits, service = self._limits(), self._config.service
        with credentials_read(service):
            session = self._session(limits)
            named = os.environ.get("AWS_REGION") or session.get_config_variable("region")
            region = named or self._config.region()
            if not region:
                raise Unavailable(service, "no region is known")
            session.set_config_variable("region", region)
            credentials = session.get_credentials()
            if credentials is None:
                raise Untrusted(service, "no credentials")
        with opened(service):
            client = session.create_client(service, config=limits)
        self._config.prepare(client)
        self._counts.watch(client)
        self._client, self._credentials = client, credentials
        self._told, self._region = not named, region

    def _limits(self) -> Config:
        return Config(
            connect_timeout=self._config.connect_seconds,
            read_timeout=self._config.silence_seconds,
            retries={"mode": self._config.retries, "total_max_attempts": self._config.attempts},
            # Its mode "auto" would ask the instance metadata.
            defaults_mode="legacy",
            user_agent_extra=f"vpc-cni-exporter/{__version__}",
            request_min_compression_size_bytes=self._config.compress_bytes,
        )

    def _session(self, limits: Config) -> Any:
        session = botocore.session.get_session()
        session.set_default_client_config(limits)  # for STS, which gives out credentials
        loader = ModelLoader(self._config.service, self._config.operations)
        session.get_component("data_loader").file_loader = loader
        if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "false":
            session.get_component("credential_provider").remove(_INSTANCE_METADATA)
        return session
