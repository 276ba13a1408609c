"""The image takes on a role by IRSA and by EKS Pod Identity, of servers that stand in for AWS's."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.world import eventually, key, simulation
from tests.image.built import Image, exporting

pytestmark = pytest.mark.real

TOKEN = "token-of-the-service-account"
ROLE = "arn:aws:iam::111122223333:role/vpc-cni-exporter"
EXPIRES = "2099-01-01T00:00:00Z"
_STS = f"""\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Credentials>
      <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
      <SessionToken>session</SessionToken><Expiration>{EXPIRES}</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>
"""


@dataclass
class Aws:
    """The Security Token Service, and the agent of Pod Identity, on one port."""

    url: str = ""
    asked: list[Mapping[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def aws() -> Iterator[Aws]:
    """Give out credentials until left."""
    said = Aws()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said.asked.append({"path": self.path, "token": self.headers["Authorization"]})
            keys = {"AccessKeyId": "ASIAPOD", "SecretAccessKey": "secret"}
            self.answer(json.dumps({**keys, "Token": "session", "Expiration": EXPIRES}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            said.asked.append(dict(urllib.parse.parse_qsl(body)))
            self.answer(_STS)

        def answer(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        said.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield said
        server.shutdown()
        thread.join()


IRSA = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/mnt/token"}
POD_IDENTITY = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/mnt/token"}


@pytest.mark.parametrize(
    ("variables", "endpoint", "asked"),
    [
        pytest.param(
            IRSA,
            "AWS_ENDPOINT_URL_STS",
            {"Action": "AssumeRoleWithWebIdentity", "RoleArn": ROLE, "WebIdentityToken": TOKEN},
            id="IRSA",
        ),
        pytest.param(
            POD_IDENTITY,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            {"path": "/v1/credentials", "token": TOKEN},
            id="Pod Identity",
        ),
    ],
)
def test_the_role_of_the_service_account_is_taken_on(
    variables: Mapping[str, str],
    endpoint: str,
    asked: Mapping[str, str],
    image: Image,
    tmp_path: Path,
) -> None:
    given = tmp_path / "given"
    given.mkdir(mode=0o755)
    (given / "token").write_text(TOKEN)
    with simulation(tmp_path, "--living", "--nodes", "3") as sim, aws() as said:
        keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        ec2 = {name: it for name, it in sim.facts["aws_environment"].items() if name not in keys}
        address = said.url + ("/v1/credentials" if "CONTAINER" in endpoint else "")
        with exporting(image, tmp_path, sim, {**ec2, **variables, endpoint: address}) as exporter:
            up = key("vpc_cni_exporter_source_up", source="ec2_enis")
            eventually(lambda: exporter.scrape()[up] == 1, "EC2 is read")
    assert asked.items() <= said.asked[0].items()
    assert len(said.asked) == 1
