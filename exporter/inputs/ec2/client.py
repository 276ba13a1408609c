"""Opens a client of EC2: region, credentials without instance metadata, time limits.

Opening is slow and not safe between threads, so one client serves all, and is opened again only
where its region changed or its credentials turned out to be of no use.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import botocore.session
from botocore.config import Config

from exporter import __version__
from exporter.core.model import Unavailable
from exporter.inputs.ec2.config import Ec2Config
from exporter.inputs.ec2.counts import RequestCounts
from exporter.inputs.ec2.enis import OPERATION, parse_enis
from exporter.inputs.ec2.errors import SYSTEM, Untrusted, credentials_read, opened
from exporter.inputs.ec2.service_model import Ec2ModelLoader

_INSTANCE_METADATA = "iam-role"
# What botocore's own parser is left with, where ours has read the answer.
_NOTHING = b"<DescribeNetworkInterfacesResponse/>"


class Clients:
    """The one client there is at a time; safe to use from several threads."""

    def __init__(self, config: Ec2Config, counts: RequestCounts) -> None:
        self._config = config
        self._counts = counts
        self._lock = threading.Lock()
        self._client: Any = None
        self._credentials: Any = None
        self._region = ""
        self._told = False  # by the configuration, so that it may change

    def current(self) -> Any:
        """Return a client whose credentials are fit for use; it may take a while."""
        with self._lock:
            if self._client is None or self._has_moved():
                self._close()
                self._open()
            with credentials_read():
                # Renewed here and not within the call, so that its failure says what failed.
                self._credentials.get_frozen_credentials()
            return self._client

    def forget(self, client: Any) -> None:
        """Have the next one opened anew, unless that has happened since."""
        with self._lock:
            if self._client is client:
                self._close()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            self._close()

    def _has_moved(self) -> bool:
        return self._told and self._config.region() not in ("", self._region)

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> None:
        limits = self._limits()
        with credentials_read():
            session = _session(limits)
            named = os.environ.get("AWS_REGION") or session.get_config_variable("region")
            region = named or self._config.region()
            if not region:
                raise Unavailable(SYSTEM, "no region is known")
            session.set_config_variable("region", region)
            credentials = session.get_credentials()
            if credentials is None:
                raise Untrusted(SYSTEM, "no credentials")
        with opened():
            client = session.create_client("ec2", config=limits)
        client.meta.events.register(f"before-parse.ec2.{OPERATION}", _parse_enis)
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
        )


def _session(limits: Config) -> Any:
    session = botocore.session.get_session()
    session.set_default_client_config(limits)  # for STS, which gives out credentials
    session.get_component("data_loader").file_loader = Ec2ModelLoader()
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "false":
        session.get_component("credential_provider").remove(_INSTANCE_METADATA)
    return session


def _parse_enis(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Put ENIs of our own parser into the answer, and leave nothing to botocore's."""
    if response_dict["status_code"] < 300:
        page = parse_enis(response_dict["body"])
        response_dict["body"] = _NOTHING
        customized_response_dict.update(Page=page, NextToken=page.following)
