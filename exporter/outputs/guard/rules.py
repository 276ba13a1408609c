"""What is asked of whoever wants to see the pages, as the files of a web-config say it now."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.outputs.guard import tls
from exporter.outputs.guard.document import Document, WebConfigError
from exporter.outputs.guard.web_config import WebConfig, read

# What a file was when it was looked at, None where it was not there.
Stamp = tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class Rules:
    """A web-config, the TLS context made of it, and what its files were before they were read."""

    config: WebConfig = field(default_factory=WebConfig)
    context: ssl.SSLContext | None = None
    seen: Mapping[Path, Stamp] = field(default_factory=dict)

    def current(self) -> bool:
        """Whether no file has changed since, wherever links lead to now."""
        return all(_stamp(path) == stamp for path, stamp in self.seen.items())

    def same_kinds(self, other: Rules) -> bool:
        """Whether TLS is on in both or in neither, and passwords as well."""
        mine, others = self.config, other.config
        tls_too = (mine.tls is None) == (others.tls is None)
        return tls_too and bool(mine.users) == bool(others.users)


def load(path: Path, *, health_apart: bool) -> Rules:
    """Return the rules of a web-config, or raise `WebConfigError` with what is wrong and where.

    Where health has no address of its own, probes must get in without a certificate.
    """
    seen = {path: _stamp(path)}
    config = read(path)
    if config.tls is None:
        return Rules(config, None, seen)
    seen |= {file: _stamp(file) for file in config.tls.files}
    document = Document(path, lines=dict(config.lines))
    if config.tls.client_auth is ssl.CERT_REQUIRED and not health_apart:
        document.problem(
            "tls_server_config.client_auth_type",
            "keeps out the probes, which have no certificate: set EXPORTER_HEALTH_ADDRESS",
        )
        raise WebConfigError(document.problems)
    try:
        return Rules(config, tls.context(config.tls), seen)
    except tls.Unusable as error:
        document.problem(f"tls_server_config.{error.key}", error.text)
        raise WebConfigError(document.problems) from error


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
