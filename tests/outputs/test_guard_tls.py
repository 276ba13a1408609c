from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.outputs.guard.document import WebConfigError
from exporter.outputs.guard.rules import load
from exporter.outputs.guard.tls import Unusable, context, objection
from exporter.outputs.guard.web_config import Tls
from tests.certificates import Authority

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("server", "localhost", "127.0.0.1")
DAY = 86_400.0


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Tls:
    """A server's files, and the authority's beside them."""
    pem, key = SERVER.written(tmp_path, "server")
    authority = tmp_path / "ca.pem"
    authority.write_bytes(AUTHORITY.certificate)
    return Tls(cert_file=pem, key_file=key, client_auth=ssl.CERT_REQUIRED, client_ca_file=authority)


def shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Shake hands in memory, and return the server's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    waiting = [theirs, ours]
    for _ in range(10):
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    assert waiting == []
    return ours


class TestTheContext:
    def test_is_what_the_section_says(self, files: Tls) -> None:
        made = context(files)
        assert (made.minimum_version, made.maximum_version) == (
            ssl.TLSVersion.TLSv1_2,
            ssl.TLSVersion.TLSv1_3,
        )
        assert made.verify_mode is ssl.CERT_REQUIRED
        assert made.options & ssl.OP_CIPHER_SERVER_PREFERENCE
        assert made.options & ssl.OP_NO_RENEGOTIATION

    def test_asks_clients_for_nothing_without_being_told_to(self, files: Tls) -> None:
        plain = Tls(cert_file=files.cert_file, key_file=files.key_file)
        assert context(plain).verify_mode is ssl.CERT_NONE

    @pytest.mark.parametrize(
        ("suites", "prefer", "offered", "chosen"),
        [
            pytest.param(
                ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
                True,
                "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                id="as the server likes",
            ),
            pytest.param(
                ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
                False,
                "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-ECDSA-AES256-GCM-SHA384",
                id="as the client likes",
            ),
        ],
    )
    def test_chooses_a_suite_of_tls_1_2(
        self, suites: tuple[str, ...], prefer: bool, offered: str, chosen: str, files: Tls
    ) -> None:
        server = context(
            Tls(
                cert_file=files.cert_file,
                key_file=files.key_file,
                max_version=ssl.TLSVersion.TLSv1_2,
                cipher_suites=suites,
                prefer_server_cipher_suites=prefer,
            )
        )
        client = AUTHORITY.trusting()
        client.set_ciphers(offered)
        cipher = shaken(server, client).cipher()
        assert cipher is not None
        assert cipher[:2] == (chosen, "TLSv1.2")

    def test_offers_no_suite_but_those_of_the_list(self, files: Tls) -> None:
        server = context(
            Tls(
                cert_file=files.cert_file,
                key_file=files.key_file,
                max_version=ssl.TLSVersion.TLSv1_2,
                cipher_suites=("ECDHE-ECDSA-AES128-GCM-SHA256",),
            )
        )
        client = AUTHORITY.trusting()
        client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
        with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
            shaken(server, client)

    def test_takes_the_one_curve_and_no_other(self, files: Tls) -> None:
        server = context(Tls(cert_file=files.cert_file, key_file=files.key_file, curve="secp521r1"))
        client = AUTHORITY.trusting()
        client.set_ecdh_curve("secp521r1")
        assert shaken(server, client).version() == "TLSv1.3"
        client.set_ecdh_curve("prime256v1")
        with pytest.raises(ssl.SSLError):
            shaken(server, client)

    def test_trusts_whoever_the_authorities_name_though_another_signed_for_it(
        self, files: Tls, tmp_path: Path
    ) -> None:
        # The toolkit's pool makes no difference between a root and what a root signed.
        client = AUTHORITY.issue("client")
        assert files.client_ca_file is not None
        files.client_ca_file.write_bytes(client.certificate)
        assert shaken(context(files), AUTHORITY.trusting(client, tmp_path)).getpeercert()


Spoil = Callable[[Tls], object]
OTHER = Authority("other").issue("server")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        pytest.param(
            lambda it: it.cert_file.unlink(),
            "2: tls_server_config.cert_file: {0}/server.pem cannot be read: No such file or "
            "directory",
            id="no certificate",
        ),
        pytest.param(
            lambda it: it.key_file.unlink(),
            "3: tls_server_config.key_file: {0}/server.key cannot be read: No such file or "
            "directory",
            id="no key",
        ),
        pytest.param(
            lambda it: it.cert_file.write_bytes(b""),
            "2: tls_server_config.cert_file: {0}/server.pem holds no certificate",
            id="an empty certificate",
        ),
        pytest.param(
            lambda it: it.cert_file.write_bytes(SERVER.key),
            "2: tls_server_config.cert_file: {0}/server.pem holds no certificate",
            id="the key for a certificate",
        ),
        pytest.param(
            lambda it: it.cert_file.write_bytes(SERVER.certificate[:-90]),
            "2: tls_server_config.cert_file: {0}/server.pem holds no certificate",
            id="half a certificate",
        ),
        pytest.param(
            lambda it: it.key_file.write_bytes(OTHER.key),
            "3: tls_server_config.key_file: {0}/server.key is not the key of {0}/server.pem",
            id="another's key",
        ),
        pytest.param(
            lambda it: it.key_file.write_bytes(SERVER.certificate),
            "3: tls_server_config.key_file: {0}/server.key cannot be used with {0}/server.pem",
            id="the certificate for a key",
        ),
        pytest.param(
            lambda it: it.key_file.write_bytes(SERVER.encrypted(b"open sesame")),
            "3: tls_server_config.key_file: {0}/server.key is encrypted",
            id="a key that wants a password",
        ),
        pytest.param(
            lambda it: it.client_ca_file and it.client_ca_file.write_bytes(b"none\n"),
            "5: tls_server_config.client_ca_file: {0}/ca.pem holds no certificate",
            id="no authority",
        ),
        pytest.param(
            lambda it: it.client_ca_file and it.client_ca_file.unlink(),
            "5: tls_server_config.client_ca_file: {0}/ca.pem cannot be read: No such file or "
            "directory",
            id="no file of authorities",
        ),
    ],
)
def test_a_file_that_is_no_use_is_named_with_its_key_and_line(
    spoil: Spoil, problem: str, files: Tls, tmp_path: Path
) -> None:
    config = tmp_path / "web.yml"
    config.write_text(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
    )
    load(config, health_apart=True)
    spoil(files)
    with pytest.raises(WebConfigError) as refused:
        load(config, health_apart=True)
    assert refused.value.problems == (f"{config}:{problem.format(tmp_path)}",)


def test_client_certificates_for_all_need_an_address_for_the_probes(
    files: Tls, tmp_path: Path
) -> None:
    config = tmp_path / "web.yml"
    config.write_text(
        f"tls_server_config:\n  cert_file: {files.cert_file}\n  key_file: {files.key_file}\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
    )
    with pytest.raises(WebConfigError) as refused:
        load(config, health_apart=False)
    assert refused.value.problems == (
        f"{config}:4: tls_server_config.client_auth_type: keeps out the probes, which have no "
        "certificate: set EXPORTER_HEALTH_ADDRESS",
    )
    given = config.read_text().replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
    config.write_text(given)
    assert load(config, health_apart=False).config.tls is not None


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        pytest.param(
            {"cipher_suites": ("RC4-SHA", "ECDHE-RSA-AES128-SHA")},
            "cipher_suites: OpenSSL does not offer RC4-SHA",
            id="one suite",
        ),
        pytest.param(
            {"cipher_suites": ("RC4-MD5",)},
            "cipher_suites: OpenSSL does not offer RC4-MD5",
            id="all suites",
        ),
        pytest.param(
            {"curve": "brainpool"},
            "curve_preferences: OpenSSL does not offer brainpool",
            id="curve",
        ),
    ],
)
def test_what_openssl_does_not_offer_is_not_left_out_in_silence(
    wanted: dict[str, object], problem: str, files: Tls
) -> None:
    asked = Tls(cert_file=files.cert_file, key_file=files.key_file, **wanted)  # type: ignore[arg-type]
    with pytest.raises(Unusable) as refused:
        context(asked)
    assert str(refused.value) == problem


class TestAClientsCertificate:
    @pytest.mark.parametrize(
        ("allowed", "fits"),
        [
            pytest.param("prometheus", True, id="a DNS name"),
            pytest.param("10.1.2.3", True, id="an IPv4 address"),
            pytest.param("2001:db8::5", True, id="an IPv6 address, in short"),
            pytest.param("scraper@example.org", True, id="an e-mail address"),
            pytest.param("spiffe://prod/ns/monitoring", True, id="a URI"),
            pytest.param("Prometheus", False, id="another case"),
            pytest.param("client", False, id="the common name, which is no such name"),
            pytest.param("10.1.2.4", False, id="another address"),
        ],
    )
    def test_must_bear_one_of_the_names_exactly(
        self, allowed: str, fits: bool, files: Tls, tmp_path: Path
    ) -> None:
        names = (
            "prometheus",
            "10.1.2.3",
            "2001:db8::5",
            "scraper@example.org",
            "spiffe://prod/ns/monitoring",
        )
        client = AUTHORITY.trusting(AUTHORITY.issue("client", *names), tmp_path)
        peer = shaken(context(files), client)
        wanted = Tls(
            cert_file=files.cert_file,
            key_file=files.key_file,
            client_auth=ssl.CERT_REQUIRED,
            client_ca_file=files.client_ca_file,
            client_allowed_sans=frozenset({"nobody", allowed}),
        )
        assert objection(wanted, peer, 0.0) == (
            "" if fits else "the client certificate bears none of the names that are allowed"
        )

    def test_without_a_name_bears_none_of_those_allowed(self, files: Tls, tmp_path: Path) -> None:
        peer = shaken(context(files), AUTHORITY.trusting(AUTHORITY.issue("client"), tmp_path))
        wanted = Tls(
            cert_file=files.cert_file,
            key_file=files.key_file,
            client_auth=ssl.CERT_REQUIRED,
            client_allowed_sans=frozenset({"client"}),
        )
        assert objection(wanted, peer, 0.0).startswith("the client certificate bears none")

    def test_that_ends_while_its_connection_is_kept_is_refused(
        self, files: Tls, tmp_path: Path
    ) -> None:
        peer = shaken(context(files), AUTHORITY.trusting(AUTHORITY.issue("client"), tmp_path))
        end = ssl.cert_time_to_seconds(str((peer.getpeercert() or {})["notAfter"]))
        assert objection(files, peer, end) == ""
        assert objection(files, peer, end + 1) == "the client certificate has expired"

    def test_is_missed_where_one_is_needed_and_only_there(self, files: Tls) -> None:
        modes = {
            mode: objection(
                Tls(cert_file=files.cert_file, key_file=files.key_file, client_auth=mode), None, 0.0
            )
            for mode in ssl.VerifyMode
        }
        assert modes == {
            ssl.CERT_NONE: "",
            ssl.CERT_OPTIONAL: "",
            ssl.CERT_REQUIRED: "a client certificate is needed",
        }
