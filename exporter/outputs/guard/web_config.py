"""The exporter-toolkit's web-config as a frozen value: what it may say, and what is refused.

The toolkit's reader is as strict: no key that it does not know. Where Python's TLS cannot do what
a key asks for, the key is refused by its name; nothing is ignored in silence.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.outputs.guard.document import Document, Section, WebConfigError

_TLS: Final = "tls_server_config"
_HTTP: Final = "http_server_config"
_USERS: Final = "basic_auth_users"

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_OLD_VERSIONS: Final = ("TLS10", "TLS11")

_CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")

_CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}

# Go's names are IANA's; for TLS 1.3 OpenSSL has the same.
_TLS13_SUITES: Final = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)
_SUITES: Final = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}

# The headers that the toolkit lets be set, and their values where the standard lists them.
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]*")
# Cost, 16 bytes of salt and 23 of digest in an alphabet of 64, so that each ends in spare bits.
_BCRYPT: Final = re.compile(
    r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$"
    r"[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"
)

_FROM_FILES: Final = "is not supported, as Python's TLS reads it from a file: use {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """`tls_server_config`: versions and names as Python's ssl has them, paths complete."""

    cert_file: Path
    key_file: Path
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    client_ca_file: Path | None = None
    client_allowed_sans: frozenset[str] = frozenset()
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    max_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    # Those of TLS 1.2 by their OpenSSL names; those of TLS 1.3 are all on and cannot be chosen.
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it names."""
        authority = () if self.client_ca_file is None else (self.client_ca_file,)
        return (self.cert_file, self.key_file, *authority)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """What a web-config says: TLS, headers for every answer, users with their bcrypt hashes.

    `lines` tells on which line a key stands, for problems that show later.
    """

    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)


def read(path: Path) -> WebConfig:
    """Return what a file says, or raise `WebConfigError` with everything that is wrong with it."""
    document = Document(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WebConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    root = document.root(content)
    http = root.section(_HTTP)
    found = WebConfig(
        tls=_tls(root.section(_TLS), path.parent),
        users=_users(root.section(_USERS)),
        headers=_headers(http.section("headers")),
        warnings=_http2(http, path),
        lines=document.lines,
    )
    http.finish()
    root.refuse(
        "rate_limit",
        "is not supported: what costs much, checking passwords and tokens, is limited always",
    )
    root.finish()
    if document.problems:
        raise WebConfigError(document.problems)
    return found


def _http2(http: Section, path: Path) -> tuple[str, ...]:
    if not http.flag("http2", default=False):
        return ()
    text = "HTTP/2 is not spoken here; clients that offer it agree on HTTP/1.1"
    return (f"{path}: {http.named('http2')}: {text}",)


def _headers(section: Section) -> Mapping[str, str]:
    found = {}
    for name, value in section.entries():
        values = _HEADERS.get(name)
        if values is None:
            section.problem(name, f"cannot be set; there are {', '.join(_HEADERS)}")
        elif values and value not in values:
            section.problem(name, f"must be {' or '.join(values)}")
        elif not _HEADER_VALUE.fullmatch(value):
            section.problem(name, "holds characters that no header may")
        elif value:
            found[name] = value
    return found


def _users(section: Section) -> Mapping[str, bytes]:
    found = {}
    for name, digest in section.entries():
        if ":" in name:
            section.problem(name, "a name with a colon in it cannot be sent")
        elif not _BCRYPT.fullmatch(digest):
            section.problem(name, "is no bcrypt hash, such as htpasswd -nBC 10 NAME writes")
        else:
            found[name] = digest.encode()
    return found


def _tls(section: Section, folder: Path) -> Tls | None:
    if not section:
        return None
    for key in ("cert", "key", "client_ca"):
        section.refuse(key, _FROM_FILES.format(f"{key}_file"))
    lowest = _version(section, "min_version", ssl.TLSVersion.TLSv1_2)
    highest = _version(section, "max_version", ssl.TLSVersion.TLSv1_3)
    if lowest > highest:
        section.problem("min_version", "is above max_version")
    mode = _client_auth(section)
    found = Tls(
        cert_file=_file(section, "cert_file", folder),
        key_file=_file(section, "key_file", folder),
        client_auth=mode,
        client_ca_file=_client_ca(section, folder, mode),
        client_allowed_sans=_sans(section, mode),
        min_version=lowest,
        max_version=highest,
        cipher_suites=_suites(section, lowest),
        prefer_server_cipher_suites=section.flag("prefer_server_cipher_suites", default=True),
        curve=_curve(section),
    )
    section.finish()
    return found


def _file(section: Section, key: str, folder: Path) -> Path:
    given = section.text(key)
    if not given:
        section.problem(key, "is missing: TLS needs cert_file and key_file")
    return folder / given


def _version(section: Section, key: str, default: ssl.TLSVersion) -> ssl.TLSVersion:
    given = section.text(key)
    if given in _OLD_VERSIONS:
        section.problem(key, f"{given} is not supported, as OpenSSL no longer speaks it by itself")
    elif given and given not in _VERSIONS:
        section.problem(key, f"{given!r} is no version; there are {', '.join(_VERSIONS)}")
    return _VERSIONS.get(given, default)


def _client_auth(section: Section) -> ssl.VerifyMode:
    given = section.text("client_auth_type")
    if given in _UNVERIFIED:
        section.problem(
            "client_auth_type",
            f"{given} is not supported, as Python's TLS verifies every certificate that it asks "
            "for: use RequireAndVerifyClientCert or VerifyClientCertIfGiven",
        )
    elif given and given not in _CLIENT_AUTH:
        section.problem(
            "client_auth_type", f"{given!r} is no type; there are {', '.join(_CLIENT_AUTH)}"
        )
    return _CLIENT_AUTH.get(given or "NoClientCert", ssl.CERT_REQUIRED)


def _client_ca(section: Section, folder: Path, mode: ssl.VerifyMode) -> Path | None:
    given = section.text("client_ca_file")
    if given and mode is ssl.CERT_NONE:
        section.problem(
            "client_ca_file", "has no use without client_auth_type: RequireAndVerifyClientCert"
        )
    if not given and mode is not ssl.CERT_NONE:
        # Go falls back on the system's authorities: then anybody with a public certificate is in.
        section.problem(
            "client_auth_type", "needs client_ca_file: whose certificates are verified?"
        )
    return folder / given if given else None


def _sans(section: Section, mode: ssl.VerifyMode) -> frozenset[str]:
    given = section.texts("client_allowed_sans")
    if given is None:
        return frozenset()
    if mode is not ssl.CERT_REQUIRED:
        section.problem("client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert")
    if not given:
        section.problem("client_allowed_sans", "is empty, and so would let nobody in")
    return frozenset(given)


def _suites(section: Section, lowest: ssl.TLSVersion) -> tuple[str, ...]:
    given = section.texts("cipher_suites") or ()
    for name in given:
        if name not in _SUITES and name not in _TLS13_SUITES:
            section.problem("cipher_suites", f"{name!r} is no suite; there are {_all_suites()}")
    found = tuple(_SUITES[name] for name in given if name in _SUITES)
    if given and not found and lowest < ssl.TLSVersion.TLSv1_3:
        section.problem("cipher_suites", "holds none for TLS 1.2: say min_version: TLS13")
    return found


def _all_suites() -> str:
    return ", ".join((*_TLS13_SUITES, *_SUITES))


def _curve(section: Section) -> str:
    given = section.texts("curve_preferences") or ()
    for name in given:
        if name not in _CURVES:
            section.problem(
                "curve_preferences", f"{name!r} is no curve; there are {', '.join(_CURVES)}"
            )
    if len(given) > 1:
        section.problem("curve_preferences", "holds several, and Python's TLS takes one")
    return _CURVES.get(given[0], "") if given else ""
