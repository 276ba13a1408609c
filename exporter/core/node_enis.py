"""The ENIs that ipamd manages on each node, as EC2 showed them at the latest survey."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeEni:
    """An ENI of a node: its subnet, and how many addresses for pods and /28 prefixes it holds.

    There is one such value for all ENIs that are alike, and one tuple of them for all nodes that
    are, so it does not say which ENI it is.
    """

    subnet_id: str
    singles: int = 0
    prefixes: int = 0
    primary: bool = False
    trunk: bool = False
