"""Certificates made for a test: an authority, and what it signs for servers and clients."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _sans(names: Sequence[str]) -> list[x509.GeneralName]:
    """Return names as what they look like: a URI, an e-mail or IP address, else DNS."""
    found: list[x509.GeneralName] = []
    for name in names:
        if "://" in name:
            found.append(x509.UniformResourceIdentifier(name))
        elif "@" in name:
            found.append(x509.RFC822Name(name))
        elif name.replace(".", "").isdigit() or ":" in name:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        else:
            found.append(x509.DNSName(name))
    return found


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, both as PEM."""

    certificate: bytes
    key: bytes

    def written(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write both as `name.pem` and `name.key`; return the paths."""
        pem, key = folder / f"{name}.pem", folder / f"{name}.key"
        pem.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return pem, key

    def encrypted(self, password: bytes) -> bytes:
        """Return the key as one that wants a password."""
        key = serialization.load_pem_private_key(self.key, None)
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )


@dataclass(frozen=True)
class Authority:
    """Signs certificates that are valid now, unless it is told otherwise."""

    common: str = "authority"
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, as PEM."""
        built = self._builder(_name(self.common), self._key, expired=False)
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return _pem(built.sign(self._key, hashes.SHA256()))

    def issue(self, common: str, *sans: str, expired: bool = False) -> Issued:
        """Sign a certificate for a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = self._builder(_name(common), key, expired=expired)
        if sans:
            built = built.add_extension(x509.SubjectAlternativeName(_sans(sans)), critical=False)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Issued(_pem(built.sign(self._key, hashes.SHA256())), private)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, expired: bool
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        end = now - _DAY if expired else now + _DAY
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name(self.common))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(end)
        )

    def trusting(self, client: Issued | None = None, folder: Path | None = None) -> ssl.SSLContext:
        """Return a client's context that trusts this authority alone, and may show who it is."""
        context = ssl.create_default_context(cadata=self.certificate.decode())
        if client is not None and folder is not None:
            context.load_cert_chain(*client.written(folder, "client"))
        return context
