"""How the door to EC2 behaves; credentials, endpoints and proxies are botocore's own variables."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from exporter.aws import AwsConfig
from exporter.inputs.ec2.enis import hand_over
from exporter.inputs.ec2.operations import OPERATIONS, SYSTEM


def _nowhere() -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ec2Config:
    """Limits in seconds, how often a request is tried, and where the nodes are.

    `region` counts where neither the environment nor an AWS profile names one; it may change.
    """

    region: Callable[[], str] = _nowhere
    connect_seconds: float = 3.0
    # EC2 may think for some seconds before it sends the first byte of a page of 1,000 ENIs.
    silence_seconds: float = 8.0
    # A whole read, pages and repeated requests included.
    read_seconds: float = 120.0
    attempts: int = 4
    retries: str = "adaptive"
    reservation_seconds: float = 300.0
    clock: Callable[[], float] = time.monotonic

    def aws(self) -> AwsConfig:
        """Return how EC2's client is opened: one that leaves ENIs to our own parser."""
        return AwsConfig(
            service=SYSTEM,
            operations=OPERATIONS,
            region=self.region,
            connect_seconds=self.connect_seconds,
            silence_seconds=self.silence_seconds,
            attempts=self.attempts,
            retries=self.retries,
            prepare=hand_over,
        )
