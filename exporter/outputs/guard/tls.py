"""`tls_server_config` as an `ssl.SSLContext`, and what a client's certificate is held against.

The certificate is verified in the handshake. Its names and its end are looked at with every
request: a connection that is kept, or a session that is resumed, has no handshake of its own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from exporter.outputs.guard.web_config import Tls

log = logging.getLogger(__name__)

_MISMATCHES: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")


class Unusable(Exception):
    """A file or a value that the TLS library refuses, by its key in `tls_server_config`."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}")
        self.key = key
        self.text = text


class _Explaining(ssl.SSLObject):
    """Our end of a connection, which explains to the other end why a handshake failed.

    The loops drop a connection as soon as its handshake fails, and the alert with it: whoever has
    the wrong certificate would see an end of file. So the failure is put off until the alert has
    been sent; the next thing that comes, or the time limit of handshakes, ends it.
    """

    outgoing: ssl.MemoryBIO
    _failed = False

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if self._failed or not self.outgoing.pending:
                raise
            self._failed = True
            log.debug("a handshake failed%s", _reason(error))
            raise ssl.SSLWantReadError(
                ssl.SSL_ERROR_WANT_READ, "the alert is to be sent"
            ) from error


class _Context(ssl.SSLContext):
    """A context whose connections explain themselves."""

    sslobject_class = _Explaining

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **named: Any
    ) -> ssl.SSLObject:
        """Return the end of a connection over these buffers."""
        made = super().wrap_bio(incoming, outgoing, *args, **named)
        assert isinstance(made, _Explaining)
        made.outgoing = outgoing
        return made


def context(tls: Tls) -> ssl.SSLContext:
    """Return a server's context, or raise `Unusable`; reads the files that are named."""
    made = _Context(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = tls.min_version
    made.maximum_version = tls.max_version
    made.options |= ssl.OP_NO_RENEGOTIATION
    if not tls.prefer_server_cipher_suites:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    made.set_alpn_protocols(["http/1.1"])
    _load_certificate(made, tls)
    _load_authority(made, tls)
    _choose_suites(made, tls)
    _choose_curve(made, tls)
    return made


def _load_certificate(made: ssl.SSLContext, tls: Tls) -> None:
    _check_certificates("cert_file", tls.cert_file)
    _check_readable("key_file", tls.key_file)
    try:
        made.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    except ssl.SSLError as error:
        if error.reason in _MISMATCHES:
            text = f"{tls.key_file} is not the key of {tls.cert_file}"
        else:
            text = f"{tls.key_file} cannot be used with {tls.cert_file}{_reason(error)}"
        raise Unusable("key_file", text) from error
    except _Encrypted as error:
        raise Unusable("key_file", f"{tls.key_file} is encrypted") from error


class _Encrypted(Exception):
    """The key wants a password, and nobody is here to type one."""


def _no_password() -> str:
    raise _Encrypted


def _load_authority(made: ssl.SSLContext, tls: Tls) -> None:
    if tls.client_ca_file is None:
        return
    _check_certificates("client_ca_file", tls.client_ca_file)
    made.load_verify_locations(cafile=tls.client_ca_file)
    # As in the toolkit: whoever is named is trusted, though somebody else signed for it.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    made.verify_mode = tls.client_auth


def _check_certificates(key: str, path: Path) -> None:
    _check_readable(key, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise Unusable(key, f"{path} holds no certificate") from error


def _check_readable(key: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise Unusable(key, f"{path} cannot be read: {error.strerror}") from error


def _choose_suites(made: ssl.SSLContext, tls: Tls) -> None:
    if not tls.cipher_suites:
        return
    try:
        made.set_ciphers(":".join(tls.cipher_suites))
        refused = set(tls.cipher_suites) - {suite["name"] for suite in made.get_ciphers()}
    except ssl.SSLError:
        refused = set(tls.cipher_suites)
    if refused:
        names = ", ".join(sorted(refused))
        raise Unusable("cipher_suites", f"OpenSSL does not offer {names}")


def _choose_curve(made: ssl.SSLContext, tls: Tls) -> None:
    if not tls.curve:
        return
    try:
        made.set_ecdh_curve(tls.curve)
    except (ValueError, ssl.SSLError) as error:  # OpenSSL may be built or told to do without
        raise Unusable("curve_preferences", f"OpenSSL does not offer {tls.curve}") from error


def _reason(error: ssl.SSLError) -> str:
    return f": {error.reason.replace('_', ' ').lower()}" if error.reason else ""


def objection(tls: Tls, peer: ssl.SSLObject | None, now: float) -> str:
    """Return what is wrong with a client's certificate at an instant (Unix seconds), or nothing.

    In the handshake the certificate was verified; here it is asked whether it still holds, and
    whether it bears one of the names that are allowed.
    """
    if tls.client_auth is ssl.CERT_NONE:
        return ""
    certificate = peer.getpeercert() if peer is not None else None
    if not certificate:
        return "" if tls.client_auth is ssl.CERT_OPTIONAL else "a client certificate is needed"
    if ssl.cert_time_to_seconds(str(certificate["notAfter"])) < now:
        return "the client certificate has expired"
    if tls.client_allowed_sans and tls.client_allowed_sans.isdisjoint(_names(certificate)):
        return "the client certificate bears none of the names that are allowed"
    return ""


def _names(certificate: dict[str, Any]) -> Iterator[str]:
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            # Python writes IPv6 in full; the toolkit compares the short form.
            with contextlib.suppress(ValueError):
                yield str(ipaddress.ip_address(name.strip()))
        elif kind in ("DNS", "email", "URI"):
            yield name
