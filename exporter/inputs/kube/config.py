"""What the door to Kubernetes is told at start, and the clock, sleep and dice it uses."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM = "kubernetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeConfig:
    """Where the API server is found, and where aws-node lives.

    `kubeconfig` is one path or several as in `KUBECONFIG`; empty means the pod's own service
    account, and outside a cluster `~/.kube/config`.
    """

    kubeconfig: str = ""
    namespace: str = "kube-system"
    service_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The clock in Unix seconds, the sleep, the dice for back-off, and how long to wait."""

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
    request_seconds: float = 60.0
    # Two reviews are what a scrape waits for, whose own limit is 10 s as a rule.
    review_seconds: float = 4.0
    # The API server sends a bookmark about once a minute, so a longer silence is a dead connection.
    silence_seconds: float = 150.0
