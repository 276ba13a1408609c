"""How CloudWatch is spoken to: AWS's JSON or CBOR in, and answers and errors in the same tongue."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.sim import cbor
from exporter.sim.ec2_protocol import Refused

_SERVICE = "GraniteServiceVersion20100801"
_JSON = "application/x-amz-json-1.0"
_CBOR = "application/cbor"


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the operation, and the tongue it is spoken in."""

    operation: str
    cbor: bool

    def read(self, body: bytes) -> Mapping[str, Any]:
        """Return the request's members."""
        try:
            found = cbor.decode(body) if self.cbor else json.loads(body)
        except ValueError as error:
            raise Refused("SerializationException", "The request cannot be read") from error
        if not isinstance(found, dict):
            raise Refused("SerializationException", "The request has no members")
        return found

    @property
    def headers(self) -> dict[str, str]:
        """What every answer in this tongue carries."""
        if self.cbor:
            return {"Content-Type": _CBOR, "smithy-protocol": "rpc-v2-cbor"}
        return {"Content-Type": _JSON}

    def done(self) -> bytes:
        """Return the answer to a call that was carried out."""
        return cbor.encode({}) if self.cbor else b"{}"

    def refused(self, refused: Refused) -> tuple[dict[str, str], bytes]:
        """Return headers and body of an error; old clients know it by the code in the header."""
        said = {"__type": f"com.amazonaws.cloudwatch#{refused.code}", "message": refused.message}
        whose = "Sender" if refused.status < 500 else "Receiver"
        headers = {**self.headers, "x-amzn-query-error": f"{refused.code};{whose}"}
        return headers, cbor.encode(said) if self.cbor else json.dumps(said).encode()


def call(path: str, headers: Mapping[str, str]) -> Call:
    """Return what is called; ValueError where it is nothing of CloudWatch's."""
    start = f"/service/{_SERVICE}/operation/"
    if headers.get("smithy-protocol") == "rpc-v2-cbor" and path.startswith(start):
        return Call(path.removeprefix(start), cbor=True)
    service, _, operation = headers.get("X-Amz-Target", "").partition(".")
    if path != "/" or service != _SERVICE:
        raise ValueError("neither JSON nor CBOR for CloudWatch")
    return Call(operation, cbor=False)


def scope(authorization: str) -> tuple[str, str]:
    """Return whose key a request was signed with and for which region, empty where it was not."""
    parts = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    return (parts[0], parts[2]) if len(parts) == 5 else ("", "")
