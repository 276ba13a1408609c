"""A report as bytes: Prometheus text 0.0.4 and OpenMetrics 1.0, plain and gzipped.

Rows that did not change are not drawn again, and what a report says is deflated once; a scrape
adds the exporter's own metrics to it, in the same gzip member.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from math import isnan
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as self_metrics

from exporter.core.catalog import (
    ALL_SUBNETS_TABLE,
    EKS_TABLES,
    EXPORTER_METRICS,
    LEGACY_TABLE,
    NODE_TABLE,
    PROBLEM_TABLE,
    SUBNET_TABLE,
    TABLES,
    Changed,
    Draw,
    Drawn,
    EksTable,
    Key,
    Kind,
    Labelled,
    LabelTexts,
    Metric,
    ReportTable,
    Sample,
    Unit,
)
from exporter.core.health import Health
from exporter.core.subnets import SubnetUsage

# Level 1 costs a ninth of level 9 on such text and gives away a fifth of the size.
_GZIP_LEVEL = 1
_RAW_DEFLATE = -15
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class Format(Enum):
    """An exposition format and its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class NodeMetrics(Enum):
    """Which nodes have series of their own."""

    ALL = "all"
    PROBLEMS = "problems"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which metrics are published: name patterns with * and ?, and how much of the nodes."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    nodes: NodeMetrics = NodeMetrics.ALL
    legacy: bool = False

    def wants(self, name: str) -> bool:
        """Whether a metric is published; an empty `allow` allows all, `deny` overrules it."""
        allowed = not self.allow or any(fnmatchcase(name, pattern) for pattern in self.allow)
        return allowed and not any(fnmatchcase(name, pattern) for pattern in self.deny)

    def tables(self) -> tuple[ReportTable, ...]:
        """Return the catalog's tables with the metrics that are published."""
        nodes = {NodeMetrics.ALL: NODE_TABLE, NodeMetrics.PROBLEMS: PROBLEM_TABLE}.get(self.nodes)
        chosen = [table for table in TABLES if table is not NODE_TABLE]
        chosen += [table for table in (nodes, LEGACY_TABLE if self.legacy else None) if table]
        return tuple(table.only(self.wants) for table in chosen)

    def subnet_tables(self) -> tuple[Drawable[tuple[SubnetUsage, ...]], ...]:
        """Return the catalog's tables on subnets with the metrics that are published."""
        return SUBNET_TABLE.only(self.wants), ALL_SUBNETS_TABLE.only(self.wants)

    def eks_tables(self) -> tuple[EksTable, ...]:
        """Return the catalog's tables on what EKS tells with the metrics that are published."""
        return tuple(table.only(self.wants) for table in EKS_TABLES)


Row = TypeVar("Row")
Whole_contra = TypeVar("Whole_contra", contravariant=True)


class Drawable(Protocol[Whole_contra]):
    """A table of the catalog, whatever its rows are."""

    def drawn(self, whole: Whole_contra, draw: Draw, before: Drawn) -> Drawn:
        """Return every row as text."""

    def described(self) -> Sequence[tuple[str, Kind, str]]:
        """Return name, kind and help of each metric."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some families of one page: as text, and deflated so that more can follow."""

    plain: bytes
    deflated: bytes
    checksum: int


# By the tables' places.
Cache = Mapping[int, Drawn]
_NOTHING = Drawn()


# Name, kind, help and the rows' lines.
Family = tuple[str, Kind, str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One report drawn: per family its name, kind, help and lines."""

    families: tuple[Family, ...] = ()
    cache: Cache = field(default_factory=dict)

    def block(self, form: Format) -> Block:
        """Return the sheet in one format."""
        plain = _page(self.families, form)
        deflater = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
        deflated = deflater.compress(plain) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return Block(plain, deflated, zlib.crc32(plain))


def draw(tables: Sequence[Drawable[Whole_contra]], whole: Whole_contra, before: Cache) -> Sheet:
    """Return a report as lines; `before` is the cache of the sheet before it."""
    families: list[Family] = []
    cache: dict[int, Drawn] = {}
    for index, table in enumerate(tables):
        drawn = cache[index] = table.drawn(whole, _lines, before.get(index, _NOTHING))
        for described, texts in zip(table.described(), drawn.columns, strict=True):
            families.append((*described, texts))
    return Sheet(tuple(families), cache)


def joined(blocks: Sequence[Block]) -> Block:
    """Return several reports' blocks as one; what is deflated stays so."""
    checksum = 0
    for block in blocks:
        checksum = zlib.crc32(block.plain, checksum)
    plain = b"".join(block.plain for block in blocks)
    return Block(plain, b"".join(block.deflated for block in blocks), checksum)


def finish(block: Block, own: bytes, form: Format, *, gzipped: bool) -> bytes:
    """Return a whole page: a report's block and then the exporter's own lines."""
    end = own + (b"# EOF\n" if form is Format.OPENMETRICS else b"")
    if not gzipped:
        return block.plain + end
    deflater = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    rest = deflater.compress(end) + deflater.flush()
    size = (len(block.plain) + len(end)) & 0xFFFFFFFF
    trailer = struct.pack("<II", zlib.crc32(end, block.checksum), size)
    return b"".join((_GZIP_HEADER, block.deflated, rest, trailer))


def process_registry() -> CollectorRegistry:
    """Return a registry of this process's own figures: memory, CPU, descriptors, collections."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def own_lines(health: Health, registry: CollectorRegistry, form: Format) -> bytes:
    """Return the exporter's own metrics."""
    families = [
        (m.name, m.kind, m.help, (_row(m, m.samples(health), (), {}),)) for m in EXPORTER_METRICS
    ]
    return _page(families, form) + _process_lines(registry, form)


def _process_lines(registry: CollectorRegistry, form: Format) -> bytes:
    """The process collectors in text format; in OpenMetrics a counter's family has no suffix."""
    lines = []
    for line in self_metrics(registry).decode().splitlines(keepends=True):
        if form is Format.OPENMETRICS and line.startswith("# "):
            name = line.split(" ", 3)[2]
            line = line.replace(name, name.removesuffix("_total"), 1)  # noqa: PLW2901
        lines.append(line)
    return "".join(lines).encode()


def _page(families: Iterable[Family], form: Format) -> bytes:
    """Return families in one format, those without lines left out."""
    texts: list[str] = []
    for name, kind, help, lines in families:
        if any(lines):
            texts.append(_head(name, kind, help, form))
            texts.extend(lines)
    return "".join(texts).encode()


def _head(name: str, kind: Kind, help: str, form: Format) -> str:
    if form is Format.OPENMETRICS and kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    escaped = help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {escaped}\n# TYPE {name} {kind.value}\n"


def _lines(metric: Metric[Row], changed: Changed[Row]) -> list[str]:
    """Return the lines of each row."""
    if metric.value is not None:
        return _single(metric.name, map(metric.value, changed.rows), _own(metric.labels, changed))
    if metric.by_label is not None and metric.unit is Unit.INFO:
        return _info(metric, metric.by_label, changed)
    if metric.by_label is not None and metric.labels != metric.scope.labels:
        return _labelled(metric, metric.by_label, changed)
    samples = map(metric.samples, changed.rows)
    return [_row(metric, *row) for row in zip(samples, changed.keys, changed.texts, strict=True)]


def _own(names: Key, changed: Changed[Row]) -> Sequence[str]:
    """Return the text of each row's labels, where a metric adds none to those that rows have."""
    labels = changed.own.get(names)
    if labels is None:
        own = names, ()
        labels = changed.own[names] = [
            known.get(own) or _kept(known, names, key, ())
            for key, known in zip(changed.keys, changed.texts, strict=True)
        ]
    return labels


def _single(name: str, values: Iterable[float | None], labels: Sequence[str]) -> list[str]:
    # Most values are counts, which mypy takes for no kind of float.
    return [
        f"{name}{label} {value}\n"
        if type(value) is int  # type: ignore[redundant-expr]
        else _rare(name, label, value)
        for label, value in zip(labels, values, strict=True)
    ]


def _rare(name: str, label: str, value: float | None) -> str:
    return "" if value is None else f"{name}{label} {_number(value)}\n"


def _labelled(
    metric: Metric[Row], by_label: Callable[[Row], Labelled], changed: Changed[Row]
) -> list[str]:
    """Return lines whose further labels have few values, so that these are written once."""
    name, own = metric.name, metric.scope.labels
    further, ends, drawn = metric.labels[len(own) :], dict[Key, str](), []
    for row, labels in zip(changed.rows, _own(own, changed), strict=True):
        lines, begin = "", name + (labels[:-1] + "," if labels else "{")
        for values, value in by_label(row).items():
            if value is not None:
                end = ends.get(values) or ends.setdefault(values, _labels(further, values)[1:])
                lines += f"{begin}{end} {value if type(value) is int else _number(value)}\n"
        drawn.append(lines)
    return drawn


def _info(
    metric: Metric[Row], by_label: Callable[[Row], Labelled], changed: Changed[Row]
) -> list[str]:
    """Return lines that are always 1: as long as the labels are the same, so is the line."""
    # Lines are kept beside the texts of labels, so the metric's name keeps them apart.
    names, line_of, drawn = metric.labels, (metric.name, *metric.labels), []
    for row, key, known in zip(changed.rows, changed.keys, changed.texts, strict=True):
        lines = ""
        for extra in by_label(row):
            line = known.get((line_of, extra))
            if line is None:
                text = f"{metric.name}{_labels(names, key + extra)} 1\n"
                line = known[line_of, extra] = text
            lines += line
        drawn.append(lines)
    return drawn


def _row(metric: Metric[Row], samples: Iterable[Sample], key: Key, known: LabelTexts) -> str:
    name, names = metric.name, metric.labels
    lines = ""
    for suffix, extra, value in samples:
        text = known.get((names, extra)) or _kept(known, names, key, extra)
        lines += f"{name}{suffix}{text} {value if type(value) is int else _number(value)}\n"
    return lines


def _kept(known: LabelTexts, names: Key, key: Key, extra: Key) -> str:
    """Return the text of a row's labels, and keep it for the next time."""
    text = known[names, extra] = _labels(names, key + extra)
    return text


def _labels(names: Key, values: Key) -> str:
    pairs = ",".join(
        f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True)
    )
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else _special(value)


def _special(value: float) -> str:
    return "NaN" if isnan(value) else repr(float(value)).replace("inf", "+Inf").replace("-+", "-")
