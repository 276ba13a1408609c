"""What `helm test` runs: is the exporter ready, and for how many nodes do its figures stand?"""

import os
import sys
import time
import urllib.error
import urllib.request

DEADLINE = time.monotonic() + float(os.environ["SECONDS"])


def get(url: str) -> str:
    """Return what an address answers, tried until it answers well or the time is over."""
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the chart's own
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            trouble = f"HTTP {error.code}: {error.read().decode(errors='replace').strip()}"
        except OSError as error:
            trouble = str(error)
        if time.monotonic() > DEADLINE:
            sys.exit(f"{url}: {trouble}")
        time.sleep(1)


print("ready:", get(os.environ["READY_URL"]).strip())
if url := os.environ.get("METRICS_URL"):
    NODES = "vpc_cni_cluster_nodes"
    lines = [line for line in get(url).splitlines() if line.startswith(NODES)]
    if not lines:
        sys.exit(f"{url}: no {NODES}")
    print(*lines, sep="\n")
