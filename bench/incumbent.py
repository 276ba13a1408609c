"""Reads nodes as cni-metrics-helper does: one after another, through the API server's pod proxy.

`python -m bench.incumbent API TOKEN NAMESPACE PORT COUNT` lists the pods, reads the first COUNT of
them on one connection, and prints how long that took as JSON. It has no work with the pages: what
parsing costs depends on the language, and waiting is what a sequential reader is made of.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from urllib.parse import urlencode, urlsplit

_SECONDS = 60.0


def main() -> None:
    """List, read, and print."""
    api, token, namespace, port, count = sys.argv[1:]
    headers = {"Authorization": f"Bearer {token}"}
    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=_SECONDS)

    def get(path: str) -> bytes:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"{path}: {answer.status}")
        return body

    began = time.monotonic()
    pods = f"/api/v1/namespaces/{namespace}/pods"
    listed = json.loads(get(f"{pods}?{urlencode({'labelSelector': 'k8s-app=aws-node'})}"))
    names = [pod["metadata"]["name"] for pod in listed["items"]][: int(count)]
    listing = time.monotonic() - began
    began = time.monotonic()
    for name in names:
        get(f"{pods}/{name}:{port}/proxy/metrics")
    each = (time.monotonic() - began) / len(names)
    print(json.dumps({"sample": len(names), "list_seconds": listing, "node_seconds": each}))


if __name__ == "__main__":
    main()
