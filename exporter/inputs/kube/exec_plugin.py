"""Running a kubeconfig's exec plugin, such as `aws eks get-token`.

The library knows its command line; it is run here because there a plugin that hangs has no end,
and one that fails is only logged.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

import msgspec
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.exec_provider import ExecProvider

_TIMEOUT_SECONDS = 60.0


class ExecStatus(msgspec.Struct, rename="camel"):
    """The credentials a plugin gives: a token, a client certificate, or both."""

    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    status: ExecStatus


async def run_plugin(config: object, seconds: float = _TIMEOUT_SECONDS) -> ExecStatus:
    """Return what the plugin gives; errors are those of the library's loaders."""
    plugin = ExecProvider(config)  # type: ignore[no-untyped-call]
    command, environ, version = plugin.args, plugin.env, plugin.api_version
    out = await _output(command, {**environ, "KUBERNETES_EXEC_INFO": _info(version)}, seconds)
    given = msgspec.json.decode(out, type=_ExecCredential)
    if given.api_version != version:
        raise ConfigException(f"{command[0]} speaks {given.api_version}, not {version}")
    if given.status.token is None and given.status.client_certificate_data is None:
        raise ConfigException(f"{command[0]} gave neither a token nor a certificate")
    return given.status


def _info(version: str) -> str:
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    return msgspec.json.encode(info).decode()


async def _output(command: list[str], environ: Mapping[str, str], seconds: float) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, complaint = await process.communicate()
    except TimeoutError as error:
        raise ConfigException(f"{command[0]} gave nothing within {seconds:g} s") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        said = complaint.decode("utf-8", "replace").strip().rpartition(os.linesep)[2]
        raise ConfigException(f"{command[0]} exited with {process.returncode}: {said}")
    return out
