from __future__ import annotations

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.outputs.guard.document import WebConfigError
from exporter.outputs.guard.rules import load
from exporter.outputs.guard.web_config import Tls, WebConfig, read
from tests.certificates import Authority

# Of "open sesame", at the least cost.
HASH = "$2b$04$/n/MTjHsxVFwnvSqHgwUF.5W0BUWJ3JDQVT84LlclYfvWv/MTx8xG"
SUITES = (
    "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, "
    "TLS_RSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_AES_256_CBC_SHA, "
    "TLS_RSA_WITH_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_256_GCM_SHA384, "
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
)


def said(folder: Path, content: str | bytes) -> WebConfig:
    path = folder / "web.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(path)


def tls(*lines: str) -> str:
    """A section with a certificate and these lines, which begin at line 4."""
    return "\n  ".join(("tls_server_config:", "cert_file: a", "key_file: b", *lines)) + "\n"


def test_a_whole_file_says_what_the_toolkit_would_read_in_it(tmp_path: Path) -> None:
    content = f"""
tls_server_config:
  cert_file: tls/server.pem
  key_file: /keys/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans:
    - prometheus.monitoring
    - 2001:db8::1
  min_version: TLS12
  max_version: TLS13
  cipher_suites:
    - TLS_AES_128_GCM_SHA256
    - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    - TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP384]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: default-src 'self'
    Strict-Transport-Security: max-age=31536000; includeSubDomains
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
    X-XSS-Protection: 0
basic_auth_users:
  alice: {HASH}
  7: {HASH.replace("$2b", "$2y")}
"""
    found = said(tmp_path, content)
    assert found == WebConfig(
        tls=Tls(
            cert_file=tmp_path / "tls/server.pem",
            key_file=Path("/keys/server.key"),
            client_auth=ssl.CERT_REQUIRED,
            client_ca_file=tmp_path / "ca.pem",
            client_allowed_sans=frozenset({"prometheus.monitoring", "2001:db8::1"}),
            cipher_suites=("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
            prefer_server_cipher_suites=False,
            curve="secp384r1",
        ),
        headers={
            "Content-Security-Policy": "default-src 'self'",
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "deny",
            "X-XSS-Protection": "0",
        },
        users={"alice": HASH.encode(), "7": HASH.replace("$2b", "$2y").encode()},
    )
    assert found.lines["tls_server_config.client_ca_file"] == 6


@pytest.mark.parametrize(
    ("content", "config"),
    [
        pytest.param("{}", WebConfig(), id="nothing, in so many words"),
        pytest.param(
            "tls_server_config: {}\nhttp_server_config:\nbasic_auth_users:\n",
            WebConfig(),
            id="empty sections",
        ),
        pytest.param(
            tls(),
            WebConfig(tls=Tls(cert_file=Path("a"), key_file=Path("b"))),
            id="the least that TLS needs",
        ),
        pytest.param(
            tls("client_auth_type: VerifyClientCertIfGiven", "client_ca_file: c"),
            WebConfig(
                tls=Tls(
                    cert_file=Path("a"),
                    key_file=Path("b"),
                    client_auth=ssl.CERT_OPTIONAL,
                    client_ca_file=Path("c"),
                )
            ),
            id="client certificates of those who have one",
        ),
        pytest.param(
            tls("min_version: TLS13", "cipher_suites: [TLS_AES_128_GCM_SHA256]"),
            WebConfig(
                tls=Tls(cert_file=Path("a"), key_file=Path("b"), min_version=ssl.TLSVersion.TLSv1_3)
            ),
            id="suites of TLS 1.3, which cannot be chosen",
        ),
        pytest.param(
            tls("max_version: TLS12", "cipher_suites: []", "curve_preferences: [X25519]"),
            WebConfig(
                tls=Tls(
                    cert_file=Path("a"),
                    key_file=Path("b"),
                    max_version=ssl.TLSVersion.TLSv1_2,
                    curve="X25519",
                )
            ),
            id="TLS 1.2 alone",
        ),
        pytest.param(
            "http_server_config: {headers: {Content-Security-Policy: ''}}",
            WebConfig(),
            id="a header without a value",
        ),
        pytest.param(
            f"basic_auth_users: {{a: &x '{HASH}', b: *x}}",
            WebConfig(users={"a": HASH.encode(), "b": HASH.encode()}),
            id="an alias",
        ),
    ],
)
def test_a_file_may_say_less(
    content: str, config: WebConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("web.yml").write_text(content)
    assert read(Path("web.yml")) == config


def test_http2_is_accepted_and_said_not_to_be_spoken(tmp_path: Path) -> None:
    assert said(tmp_path, "http_server_config: {http2: yes}").warnings == (
        f"{tmp_path}/web.yml: http_server_config.http2: HTTP/2 is not spoken here; clients that "
        "offer it agree on HTTP/1.1",
    )


TLS = "tls_server_config"
UNVERIFIED = (
    "is not supported, as Python's TLS verifies every certificate that it asks for: use "
    "RequireAndVerifyClientCert or VerifyClientCertIfGiven"
)
BAD: list[tuple[str, str | bytes, list[str]]] = [
    ("empty", "", [": is empty; {} says that nothing is guarded"]),
    ("only a comment", "# nothing\n", [": is empty; {} says that nothing is guarded"]),
    ("a list", "- a\n", [": must hold a mapping"]),
    ("not UTF-8", b"a: \xff\n", [": is not UTF-8"]),
    (
        "no YAML",
        "basic_auth_users:\n  a: 'b\n",
        [":3: is no YAML: found unexpected end of stream"],
    ),
    ("characters that YAML has not", b"a: \x00\n", [": is no YAML: ReaderError"]),
    ("too deep", "[" * 5000, [": is nested too deeply"]),
    ("two documents", "{}\n---\n{}\n", [":2: is no YAML: but found another document"]),
    ("an unknown section", "\nx: 1\n", [":2: x: is no key of a web-config"]),
    (
        "a misspelt key",
        tls("client_ca_fle: c"),
        [f":4: {TLS}.client_ca_fle: is no key of a web-config"],
    ),
    (
        "a key of no use in the section of HTTP",
        "http_server_config:\n  http3: true\n",
        [":2: http_server_config.http3: is no key of a web-config"],
    ),
    ("a key twice", tls("key_file: c"), [f":4: {TLS}.key_file: is there twice"]),
    ("a key that is no word", "? [a]\n: b\n", [":1: a key must be a word"]),
    ("a section that is a word", f"{TLS}: yes\n", [f":1: {TLS}: must hold a mapping"]),
    (
        "a rate limit",
        "rate_limit: {interval: 1s, burst: 2}\n",
        [
            ":1: rate_limit: is not supported: what costs much, checking passwords and tokens, "
            "is limited always"
        ],
    ),
    (
        "no files",
        f"{TLS}:\n  min_version: TLS12\n",
        [
            f":1: {TLS}.cert_file: is missing: TLS needs cert_file and key_file",
            f":1: {TLS}.key_file: is missing: TLS needs cert_file and key_file",
        ],
    ),
    (
        "no key",
        f"{TLS}:\n  cert_file: a\n  key_file:\n",
        [f":3: {TLS}.key_file: is missing: TLS needs cert_file and key_file"],
    ),
    (
        "certificates in the file",
        tls("cert: x", "key: y", "client_ca: z"),
        [
            f":4: {TLS}.cert: is not supported, as Python's TLS reads it from a file: use "
            "cert_file",
            f":5: {TLS}.key: is not supported, as Python's TLS reads it from a file: use key_file",
            f":6: {TLS}.client_ca: is not supported, as Python's TLS reads it from a file: use "
            "client_ca_file",
        ],
    ),
    (
        "versions",
        tls("min_version: TLS10", "max_version: SSL3"),
        [
            f":4: {TLS}.min_version: TLS10 is not supported, as OpenSSL no longer speaks it by "
            "itself",
            f":5: {TLS}.max_version: 'SSL3' is no version; there are TLS12, TLS13",
        ],
    ),
    (
        "versions the wrong way round",
        tls("max_version: TLS12", "min_version: TLS13"),
        [f":5: {TLS}.min_version: is above max_version"],
    ),
    (
        "an unknown way with clients",
        tls("client_auth_type: RequireCert", "client_ca_file: c"),
        [
            f":4: {TLS}.client_auth_type: 'RequireCert' is no type; there are NoClientCert, "
            "VerifyClientCertIfGiven, RequireAndVerifyClientCert"
        ],
    ),
    *(
        (
            name,
            tls(f"client_auth_type: {name}", "client_ca_file: c"),
            [f":4: {TLS}.client_auth_type: {name} {UNVERIFIED}"],
        )
        for name in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
    ),
    (
        "clients without an authority",
        tls("client_auth_type: RequireAndVerifyClientCert"),
        [f":4: {TLS}.client_auth_type: needs client_ca_file: whose certificates are verified?"],
    ),
    (
        "an authority without clients",
        tls("client_ca_file: c"),
        [
            f":4: {TLS}.client_ca_file: has no use without client_auth_type: "
            "RequireAndVerifyClientCert"
        ],
    ),
    (
        "names of clients that need no certificate",
        tls(
            "client_auth_type: VerifyClientCertIfGiven",
            "client_ca_file: c",
            "client_allowed_sans: [a]",
        ),
        [
            f":6: {TLS}.client_allowed_sans: needs client_auth_type: RequireAndVerifyClientCert",
        ],
    ),
    (
        "nobody's name",
        tls(
            "client_auth_type: RequireAndVerifyClientCert",
            "client_ca_file: c",
            "client_allowed_sans: []",
        ),
        [f":6: {TLS}.client_allowed_sans: is empty, and so would let nobody in"],
    ),
    (
        "a list that is none",
        tls("cipher_suites: TLS_AES_128_GCM_SHA256", "curve_preferences: [[X25519]]"),
        [
            f":4: {TLS}.cipher_suites: must be a list",
            f":5: {TLS}.curve_preferences: must be a string",
            f":5: {TLS}.curve_preferences: '' is no curve; there are CurveP256, CurveP384, "
            "CurveP521, X25519",
        ],
    ),
    (
        "an unknown suite",
        tls("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA, TLS_RSA_WITH_AES_128_CBC_SHA]"),
        [
            f":4: {TLS}.cipher_suites: 'TLS_RSA_WITH_RC4_128_SHA' is no suite; there are {SUITES}",
        ],
    ),
    (
        "no suite for TLS 1.2",
        tls("cipher_suites: [TLS_AES_128_GCM_SHA256]"),
        [f":4: {TLS}.cipher_suites: holds none for TLS 1.2: say min_version: TLS13"],
    ),
    (
        "several curves",
        tls("curve_preferences: [X25519, CurveP256]"),
        [f":4: {TLS}.curve_preferences: holds several, and Python's TLS takes one"],
    ),
    (
        "no boolean",
        tls("prefer_server_cipher_suites: maybe"),
        [f":4: {TLS}.prefer_server_cipher_suites: must be true or false"],
    ),
    (
        "a path that is a mapping",
        tls("client_auth_type: {a: b}"),
        [f":4: {TLS}.client_auth_type: must be a string"],
    ),
    (
        "headers",
        "http_server_config:\n  headers:\n    Server: us\n    X-Frame-Options: DENY\n"
        '    X-Content-Type-Options: ""\n    Content-Security-Policy: "a\\r\\nb: c"\n',
        [
            ":3: http_server_config.headers.Server: cannot be set; there are "
            "Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, "
            "X-Frame-Options, X-XSS-Protection",
            ":4: http_server_config.headers.X-Frame-Options: must be deny or sameorigin",
            ":5: http_server_config.headers.X-Content-Type-Options: must be nosniff",
            ":6: http_server_config.headers.Content-Security-Policy: holds characters that no "
            "header may",
        ],
    ),
    (
        "users",
        "basic_auth_users:\n"
        "  clear: open sesame\n"
        f"  short: {HASH[:-1]}\n"
        f"  cheap: {HASH.replace('$04$', '$03$')}\n"
        f"  old: {HASH.replace('$2b$', '$2x$')}\n"
        f"  salt: {HASH[:28]}a{HASH[29:]}\n"
        f"  a:b: {HASH}\n"
        "  none:\n",
        [
            *(
                f":{line}: basic_auth_users.{name}: is no bcrypt hash, such as htpasswd -nBC 10 "
                "NAME writes"
                for line, name in enumerate(("clear", "short", "cheap", "old", "salt"), 2)
            ),
            ":7: basic_auth_users.a:b: a name with a colon in it cannot be sent",
            ":8: basic_auth_users.none: is no bcrypt hash, such as htpasswd -nBC 10 NAME writes",
        ],
    ),
]


@pytest.mark.parametrize(
    ("content", "problems"), [pytest.param(c, p, id=name) for name, c, p in BAD]
)
def test_a_file_that_cannot_be_used_is_refused_with_all_that_is_wrong_and_where(
    content: str | bytes, problems: list[str], tmp_path: Path
) -> None:
    with pytest.raises(WebConfigError) as refused:
        said(tmp_path, content)
    assert list(refused.value.problems) == [f"{tmp_path}/web.yml{it}" for it in problems]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("missing.yml", "No such file or directory", id="missing"),
        pytest.param("", "Is a directory", id="a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(WebConfigError) as refused:
        read(tmp_path / name)
    assert list(refused.value.problems) == [f"{tmp_path / name}: cannot be read: {problem}"]


@given(st.binary(max_size=80))
def test_every_hash_that_bcrypt_makes_is_taken(password: bytes) -> None:
    made = bcrypt.hashpw(password[:72], bcrypt.gensalt(4)).decode()
    with TemporaryDirectory() as folder:
        users = said(Path(folder), f"basic_auth_users: {{a: '{made}'}}").users
    assert users == {"a": made.encode()}


def test_no_problem_quotes_a_secret(tmp_path: Path) -> None:
    content = "basic_auth_users:\n  a: hunter2\n  'b: hunter2\n"
    for text in (content, content.replace("'", "")):
        with pytest.raises(WebConfigError) as refused:
            said(tmp_path, text)
        assert "hunter2" not in str(refused.value)


EXAMPLE = Path(__file__).parents[2] / "examples" / "web-config.yml"


def test_the_example_can_be_used_once_its_certificates_are_there(tmp_path: Path) -> None:
    authority = Authority()
    issued = authority.issue("vpc-cni-exporter", "vpc-cni-exporter.kube-system.svc")
    (tmp_path / "tls.crt").write_bytes(issued.certificate)
    (tmp_path / "tls.key").write_bytes(issued.key)
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    path = tmp_path / EXAMPLE.name
    path.write_bytes(EXAMPLE.read_bytes())
    rules = load(path, health_apart=True)
    assert rules.context is not None
    assert (rules.config.warnings, set(rules.config.users)) == ((), {"prometheus"})
    assert bcrypt.checkpw(b"open sesame", rules.config.users["prometheus"])


def test_the_page_on_the_web_config_tells_of_every_key_of_the_example() -> None:
    page = (EXAMPLE.parents[1] / "docs" / "WEB-CONFIG.md").read_text(encoding="utf-8")
    lines = read(EXAMPLE).lines
    keys = {name.rpartition(".")[2] for name in lines if not name.startswith("basic_auth_users.")}
    assert {key for key in keys if f"`{key}`" not in page} == set()
