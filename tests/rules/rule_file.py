"""The rule file as it stands, and the cases that promtool runs on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.promql import CATALOGUED, Series, labels

ROOT = Path(__file__).parents[2]
FILE = ROOT / "charts" / "vpc-cni-exporter" / "files" / "rules.yaml"
CASES = sorted(Path(__file__).parent.glob("*.yaml"))

Rule = Mapping[str, Any]


def rules() -> list[Rule]:
    """Return all rules in the order of the file."""
    return [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]


def records() -> list[Rule]:
    """Return the rules that record a series."""
    return [rule for rule in rules() if "record" in rule]


def alerts() -> list[Rule]:
    """Return the rules that alert."""
    return [rule for rule in rules() if "alert" in rule]


def series() -> Series:
    """Return every series that a rule may read: what is published, and what is recorded."""
    known = dict(CATALOGUED)
    for rule in records():
        known[rule["record"]] = labels(rule["expr"], known)
    return known


def cases() -> Iterator[Mapping[str, Any]]:
    """Yield the cases of all files."""
    for path in CASES:
        yield from yaml.safe_load(path.read_text())["tests"]
