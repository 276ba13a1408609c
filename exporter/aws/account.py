"""As whom and where AWS is asked: one set of credentials and one region for all its services.

So the Security Token Service, or an agent, is asked for credentials once and not by each service.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config

from exporter import __version__
from exporter.aws.errors import Untrusted, credentials_read, opened
from exporter.aws.service_model import ModelLoader
from exporter.core.model import Unavailable

_INSTANCE_METADATA = "iam-role"


def _nowhere() -> str:
    return ""


def _as_it_is(_client: Any) -> None:
    """Leave a client as botocore makes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsConfig:
    """Where AWS is asked, limits in seconds, and how often a request is tried.

    `region` counts where neither the environment nor an AWS profile names one; it may change.
    Credentials, endpoints and proxies are botocore's own variables.
    """

    region: Callable[[], str] = _nowhere
    connect_seconds: float = 3.0
    # A service may think for some seconds before it sends the first byte of a long page.
    silence_seconds: float = 8.0
    attempts: int = 4
    retries: str = "adaptive"

    def limits(self) -> Config:
        """Return this as botocore takes it."""
        return Config(
            connect_timeout=self.connect_seconds,
            read_timeout=self.silence_seconds,
            retries={"mode": self.retries, "total_max_attempts": self.attempts},
            # Its mode "auto" would ask the instance metadata.
            defaults_mode="legacy",
            user_agent_extra=f"vpc-cni-exporter/{__version__}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Which operations are asked of a service, and how.

    `prepare` is given each client that is opened.
    """

    service: str
    operations: tuple[str, ...]
    # Whether a request is tried again, as often as the account says.
    repeated: bool = True
    # From so many bytes on a request is compressed, where the service takes that.
    compress_bytes: int = 10_240
    prepare: Callable[[Any], None] = _as_it_is

    def deviations(self) -> Config:
        """Return what is otherwise than for all services."""
        said: dict[str, Any] = {"request_min_compression_size_bytes": self.compress_bytes}
        if not self.repeated:
            said["retries"] = {"mode": "standard", "total_max_attempts": 1}
        return Config(**said)


@dataclass(frozen=True, slots=True)
class Session:
    """Credentials, which renew themselves, for one region."""

    opened: Any
    models: ModelLoader
    credentials: Any
    region: str
    # By the configuration, so that it may change.
    told: bool


class Account:
    """The session that all services share. Safe to use from several threads."""

    def __init__(self, config: AwsConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._session: Session | None = None

    def session(self, service: str) -> Session:
        """Return the session of now, as a service asks for it; it may take a while."""
        with self._lock:
            if self._session is None or self._has_moved(self._session):
                self._session = self._open(service)
            return self._session

    def distrust(self, session: Session) -> None:
        """Have the next one opened anew, unless that has happened since."""
        with self._lock:
            if self._session is session:
                self._session = None

    def client(self, session: Session, use: Use) -> Any:
        """Return a new client of a service."""
        with self._lock, opened(use.service):
            session.models.limit(use.service, use.operations)
            client = session.opened.create_client(use.service, config=use.deviations())
            use.prepare(client)
            return client

    def _has_moved(self, session: Session) -> bool:
        return session.told and self._config.region() not in ("", session.region)

    def _open(self, service: str) -> Session:
        with credentials_read(service):
            session = botocore.session.get_session()
            session.set_default_client_config(self._config.limits())
            models = ModelLoader()
            session.get_component("data_loader").file_loader = models
            if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "false":
                session.get_component("credential_provider").remove(_INSTANCE_METADATA)
            named = os.environ.get("AWS_REGION") or session.get_config_variable("region")
            region = named or self._config.region()
            if not region:
                raise Unavailable(service, "no region is known")
            session.set_config_variable("region", region)
            credentials = session.get_credentials()
            if credentials is None:
                raise Untrusted(service, "no credentials")
        return Session(session, models, credentials, region, told=not named)
