"""What settings come to, as text: their values and origins, what is published where, its bill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from exporter.app import selection
from exporter.core.catalog import (
    ALL_SUBNETS_TABLE,
    CLOUDWATCH_SUBNETS,
    EKS_TABLES,
    EXPORTER_METRICS,
    LEGACY_TABLE,
    METRICS,
    NODE_TABLE,
    ON_CLOUDWATCH,
    SUBNET_TABLE,
)
from exporter.core.points import unusable
from exporter.outputs.cloudwatch import CLUSTER_DIMENSION, MAX_METRICS, SUBNET_DIMENSION
from exporter.outputs.guard import load_rules
from exporter.settings import FIELDS, Loaded, Settings

# Two for the pods and the nodes of each of three zones.
ASSUMED_SUBNETS = 6
_MONTH_SECONDS = 30 * 86_400
_PRICES = "https://aws.amazon.com/cloudwatch/pricing/"

_OWN = frozenset(it.name for it in EXPORTER_METRICS)
_LEGACY = frozenset(it.name for it in LEGACY_TABLE.metrics)
_NODES = frozenset(it.name for it in NODE_TABLE.metrics)
# The sources beside ipamd that a metric needs.
_NEEDS = {
    **{it.name: ("ec2",) for it in SUBNET_TABLE.metrics},
    **{it.name: ("ec2", "eks") for it in ALL_SUBNETS_TABLE.metrics},
    **{it.name: ("eks",) for table in EKS_TABLES for it in table.metrics},
}


@dataclass(frozen=True, slots=True)
class Bill:
    """What CloudWatch bills: metrics, and calls of PutMetricData in 30 days; each at most."""

    metrics: int
    calls: int


def bill(settings: Settings, subnets: int) -> Bill:
    """Return what the settings have CloudWatch bill in a cluster of so many subnets.

    The points of a period go out together, and a period without a reading has none. Calls that
    fail are repeated, which is not in it.
    """
    if not settings.cloudwatch:
        return Bill(0, 0)
    metrics = len(ON_CLOUDWATCH) - len(CLOUDWATCH_SUBNETS)
    if _tells_subnets(settings):
        metrics += len(CLOUDWATCH_SUBNETS) * subnets
    readings = settings.interval
    if _tells_subnets(settings):
        readings = min(readings, settings.ec2_subnets_interval)
    periods = int(_MONTH_SECONDS // max(settings.cloudwatch_interval, readings))
    return Bill(metrics, periods * -(-metrics // MAX_METRICS))


def left_out(settings: Settings) -> dict[str, str]:
    """Return the names that Prometheus does not get, each with the setting that says so."""
    reasons = ((it.name, _why_not(it.name, settings)) for it in METRICS)
    return {name: reason for name, reason in reasons if reason}


def _why_not(name: str, settings: Settings) -> str:
    if name in _OWN:
        return ""
    if name in _LEGACY and not settings.legacy_metrics:
        return "legacy_metrics is off"
    if name in _NODES and settings.node_metrics == "none":
        return "node_metrics is none"
    missing = [it for it in _NEEDS.get(name, ()) if it not in settings.sources]
    if missing:
        return f"sources have no {missing[0]}"
    if selection(settings).wants(name):
        return ""
    denied = [it for it in settings.metrics_deny if fnmatchcase(name, it)]
    return f"metrics_deny has {denied[0]}" if denied else "metrics_allow does not have it"


def remarks(settings: Settings) -> tuple[str, ...]:
    """Return what is allowed and can hardly be meant: idle patterns, a name nobody can use."""
    idle = tuple(
        f"{setting}: {pattern} matches no metric"
        for setting, patterns in (
            ("metrics_allow", settings.metrics_allow),
            ("metrics_deny", settings.metrics_deny),
        )
        for pattern in patterns
        if not any(fnmatchcase(it.name, pattern) for it in METRICS)
    )
    if not settings.cloudwatch or not settings.cluster_name:
        return idle
    trouble = unusable(settings.cluster_name)
    return (*idle, f"CloudWatch will wait for ever: {trouble}") if trouble else idle


def read_files(settings: Settings) -> None:
    """Read the file of secrets that settings name; `WebConfigError` where it is no use."""
    if settings.web_config:
        load_rules(Path(settings.web_config), health_apart=bool(settings.health_address))


def report(loaded: Loaded, subnets: int | None = None) -> str:
    """Return all that can be said of settings before they are used.

    `subnets` is how many the cluster has, None where that is to be assumed.
    """
    settings = loaded.settings
    warnings = (*loaded.warnings, *remarks(settings))
    sections = {
        "Settings": _aligned(_rows(loaded)),
        "Warnings": list(warnings) or ["none"],
        "Prometheus": list(_prometheus(settings)),
        "CloudWatch": list(_cloudwatch(settings, subnets)),
    }
    return "\n".join(_section(title, lines) for title, lines in sections.items())


def _section(title: str, lines: Iterable[str]) -> str:
    return "".join([f"{title}\n", *(f"  {line}\n" for line in lines)])


def _rows(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    for name in FIELDS:
        value = getattr(loaded.settings, name)
        yield name, _shown(value), loaded.origins.get(name, "default")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value) or "-"


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    kept = list(rows)
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in kept
    ]


def _prometheus(settings: Settings) -> Iterator[str]:
    missing = left_out(settings)
    yield (
        f"{len(METRICS) - len(missing)} of {len(METRICS)} families at {settings.listen_address}"
        "/metrics, beside process_* and python_*"
    )
    known = Counter(it.scope.name or "other" for it in METRICS)
    served = Counter(it.scope.name or "other" for it in METRICS if it.name not in missing)
    yield from _aligned((scope, f"{served[scope]} of {count}") for scope, count in known.items())
    if settings.node_metrics == "problems":
        yield "node: only of nodes that were not read or have nothing left to give"
    if missing:
        yield "not published"
        yield from (f"  {line}" for line in _aligned(missing.items()))


def _tells_subnets(settings: Settings) -> bool:
    return settings.cloudwatch_subnets and "ec2" in settings.sources


def _cloudwatch(settings: Settings, subnets: int | None) -> Iterator[str]:
    if not settings.cloudwatch:
        yield "nothing: cloudwatch is off"
        return
    own = len(ON_CLOUDWATCH) - len(CLOUDWATCH_SUBNETS)
    yield f"namespace {settings.cloudwatch_namespace}"
    name = settings.cluster_name or "not set: CLUSTER_NAME of aws-node, else the tag on the ENIs"
    yield f"dimension {CLUSTER_DIMENSION} = {name}"
    yield f"one point per metric for every {settings.cloudwatch_interval} s" + (
        ", of high resolution" if settings.cloudwatch_interval % 60 else ""
    )
    yield f"{own} metrics of the cluster"
    yield from _subnets(settings, subnets)
    billed = bill(settings, ASSUMED_SUBNETS if subnets is None else subnets)
    yield (
        f"billed: up to {billed.metrics:,} custom metrics, and up to {billed.calls:,} calls of "
        "PutMetricData in 30 days, repeated ones beside them"
    )
    yield f"prices by region: {_PRICES}"
    if settings.metrics_allow or settings.metrics_deny:
        yield "metrics_allow and metrics_deny are of Prometheus alone"


def _subnets(settings: Settings, subnets: int | None) -> Iterator[str]:
    each = len(CLOUDWATCH_SUBNETS)
    number = ASSUMED_SUBNETS if subnets is None else subnets
    assumed = "assumed; --subnets says how many" if subnets is None else "by --subnets"
    text = f"{each * number:,} metrics of {number:,} subnets ({assumed}), {each} of each"
    if _tells_subnets(settings):
        yield f"{text}, with the dimension {SUBNET_DIMENSION} beside it"
    else:
        why = "cloudwatch_subnets is off"
        if settings.cloudwatch_subnets:
            why = "sources have no ec2"
        yield f"not published: {text}: {why}"
