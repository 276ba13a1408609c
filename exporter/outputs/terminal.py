"""What a scrape of the exporter says, drawn for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from exporter.outputs.picture import GROUPS, UNTIL, grouped

Labels = Mapping[str, str]

_BAR_WIDTH = 24
_SHOWN_NODES = 8
_FULL = 0.85


@dataclass(frozen=True, slots=True)
class Figures:
    """The samples of one scrape by name."""

    samples: Mapping[str, tuple[tuple[Labels, float], ...]]

    @classmethod
    def parse(cls, text: str) -> Figures:
        """Return the samples of a page in text format."""
        found: dict[str, list[tuple[Labels, float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return cls({name: tuple(samples) for name, samples in found.items()})

    def all(self, name: str) -> tuple[tuple[Labels, float], ...]:
        """Return every sample of a metric."""
        return self.samples.get(name, ())

    def value(self, name: str, /, **labels: str) -> float | None:
        """Return the first sample that has these labels, None where there is none."""
        for found, value in self.all(name):
            if labels.items() <= found.items():
                return value
        return None

    def sum(self, name: str) -> float:
        """Return the sum over all samples of a metric."""
        return sum(value for _, value in self.all(name))


def screen(figures: Figures, url: str, story: str = "") -> RenderableType:
    """Return the whole picture: the cluster, its subnets, zones and groups, and what is missing.

    `story` says what is going on, where someone knows.
    """
    name = next((labels["cluster"] for labels, _ in figures.all("vpc_cni_cluster_info")), "")
    parts: list[RenderableType] = [
        _headline(figures),
        *_headroom(figures),
        _subnets(figures),
        _usages(figures, "zone"),
        _usages(figures, "nodegroup"),
        _counters(figures),
    ]
    if figures.value("vpc_cni_cluster_nodes", state="unread"):
        parts.append(_unread(figures))
    if figures.all("vpc_cni_node_blocked"):
        parts.append(_blocked(figures))
    parts.append(_sources(figures))
    if story:
        parts.append(Text(f"\n{story}", style="italic"))
    return Panel(Group(*parts), title=f"pod IP addresses of {name or 'the cluster'}", subtitle=url)


def waiting(url: str, seconds: float) -> RenderableType:
    """Return what is shown until there are figures."""
    return Panel(f"waiting for the first report ({seconds:.0f} s)", subtitle=url)


def _headline(figures: Figures) -> RenderableType:
    table = Table.grid(padding=(0, 4))
    read = figures.value("vpc_cni_cluster_nodes", state="read") or 0.0
    unread = figures.value("vpc_cni_cluster_nodes", state="unread") or 0.0
    coverage = Text(f"{read:,.0f} of {read + unread:,.0f}", style="bold red" if unread else "bold")
    cooldown = figures.value("vpc_cni_cluster_ip_addresses", state="cooldown")
    shown = (
        ("nodes read", coverage),
        ("assigned", _figure(figures.value("vpc_cni_cluster_ip_addresses", state="assigned"))),
        ("warm", _figure(figures.value("vpc_cni_cluster_ip_addresses", state="warm"))),
        *((("cooldown", _figure(cooldown)),) if cooldown is not None else ()),
        ("capacity", _figure(figures.value("vpc_cni_cluster_ip_capacity"))),
        ("ENIs", _figure(figures.value("vpc_cni_cluster_enis"))),
        ("/28 prefixes", _figure(figures.value("vpc_cni_cluster_delegated_prefixes"))),
    )
    table.add_row(*(value for _, value in shown))
    table.add_row(*(Text(title, style="dim") for title, _ in shown))
    return table


def _headroom(figures: Figures) -> Iterable[RenderableType]:
    """How many more pods fit into the cluster; nothing where that is not known."""
    pods = figures.value("vpc_cni_cluster_pod_headroom")
    for labels, _ in figures.all("vpc_cni_cluster_pod_headroom_limit"):
        text = Text("\n").append(_figure(pods))
        yield text.append(f" more pods fit, until {UNTIL[labels['limit']]}")


def _figure(value: float | None) -> Text:
    return Text("–" if value is None else f"{value:,.0f}", style="bold")


def _usages(figures: Figures, scope: str) -> RenderableType:
    prefix = f"vpc_cni_{scope}"
    # Known where introspection answers, and shown only there.
    cools = figures.value(f"{prefix}_ip_addresses", state="cooldown") is not None
    fits = bool(figures.all(f"{prefix}_pod_headroom"))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("\n" + {"nodegroup": "node group"}.get(scope, scope), min_width=14)
    titles = ["nodes", "assigned", "warm", *(["cooldown"] if cools else []), "capacity"]
    for title in (*titles, *(["more pods"] if fits else [])):
        table.add_column("\n" + title, justify="right")
    legend = Text.assemble("\n", ("■", "blue"), " assigned ", ("■", "yellow"), " warm")
    table.add_column(legend.append(" ■", "cyan").append(" cooldown") if cools else legend)
    names = dict.fromkeys(labels[scope] for labels, _ in figures.all(f"{prefix}_nodes"))
    for name in names:
        where = {scope: name}
        read = figures.value(f"{prefix}_nodes", **where, state="read") or 0.0
        unread = figures.value(f"{prefix}_nodes", **where, state="unread") or 0.0
        assigned = figures.value(f"{prefix}_ip_addresses", **where, state="assigned")
        warm = figures.value(f"{prefix}_ip_addresses", **where, state="warm")
        cooldown = figures.value(f"{prefix}_ip_addresses", **where, state="cooldown")
        capacity = figures.value(f"{prefix}_ip_capacity", **where)
        nodes = Text(f"{read:,.0f}/{read + unread:,.0f}", style="red" if unread else "")
        row = [_figure(assigned), _figure(warm), *([_figure(cooldown)] if cools else [])]
        more = figures.value(f"{prefix}_pod_headroom", **where)
        row += [_figure(capacity), *([_figure(more)] if fits else [])]
        row.append(bar(assigned, warm, capacity, cooldown))
        table.add_row(Text(name), nodes, *row)
    return table


def bar(
    assigned: float | None,
    warm: float | None,
    capacity: float | None,
    cooldown: float | None = None,
) -> Text:
    """Return a bar of fixed width: assigned, warm, in cooldown, and what is not attached."""
    if assigned is None or warm is None or not capacity:
        return Text("")
    text, done, ended = Text(), 0.0, 0
    for count, color in ((assigned, "blue"), (warm, "yellow"), (cooldown or 0.0, "cyan")):
        done += count
        end = min(round(_BAR_WIDTH * done / capacity), _BAR_WIDTH)
        text.append("█" * (end - ended), color)
        ended = end
    return text.append("░" * (_BAR_WIDTH - ended), "bright_black")


_COLORS = ("blue", "yellow", "magenta", "green", "red", "white", "bright_black", "default")


def _subnets(figures: Figures) -> RenderableType:
    """Each subnet with a bar of who holds its addresses; nothing where no subnet is known."""
    names = [labels for labels, _ in figures.all("vpc_cni_subnet_info")]
    if not names:
        return Text("")
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("\nsubnet", min_width=14)
    for title in ("zone", "size", "free", "used", "free /28"):
        table.add_column("\n" + title, justify="right" if title != "zone" else "left")
    table.add_column("\nwho holds the addresses")
    for labels in names:
        table.add_row(*_subnet(figures, labels))
    shown = [(name, color) for name, color in zip(GROUPS, _COLORS, strict=True) if name != "free"]
    legend = Text.assemble(*(part for name, color in shown for part in _legend(name, color)))
    return Group(table, legend)


def _legend(name: str, color: str) -> tuple[tuple[str, str], str]:
    return ("■", color), f" {name} "


def _subnet(figures: Figures, labels: Labels) -> tuple[RenderableType, ...]:
    of = {"subnet_id": labels["subnet_id"]}
    used = figures.value("vpc_cni_subnet_utilization_ratio", **of) or 0.0
    blocks = [
        figures.value("vpc_cni_subnet_prefix_blocks", **of, state=state)
        for state in ("free", "free_reserved")
    ]
    size = figures.value("vpc_cni_subnet_size", **of) or 1.0
    uses = {
        told["use"]: value
        for told, value in figures.all("vpc_cni_subnet_ip_addresses")
        if told["subnet_id"] == labels["subnet_id"]
    }
    return (
        Text(labels["name"] or labels["subnet_id"]),
        Text(labels["zone"]),
        _figure(size),
        _figure(figures.value("vpc_cni_subnet_free_ip_addresses", **of)),
        Text(f"{used:.0%}", style="bold red" if used >= _FULL else "bold"),
        _figure(None if None in blocks else sum(filter(None, blocks))),
        stacked(grouped(uses), size) if uses else Text("its ENIs could not all be read"),
    )


def stacked(groups: Mapping[str, float], size: float) -> Text:
    """Return a bar of fixed width: a part for each group of uses, what is free last."""
    text, done, ended = Text(), 0.0, 0
    for (name, count), color in zip(groups.items(), _COLORS, strict=True):
        done += count
        end = min(round(_BAR_WIDTH * done / size), _BAR_WIDTH)
        text.append(("░" if name == "free" else "█") * (end - ended), color)
        ended = end
    return text


def _counters(figures: Figures) -> RenderableType:
    total = "vpc_cni_cluster_{}_total".format
    failures = figures.sum(total("ip_assignment_failures"))
    return Text.assemble(
        "\nsince the exporter started: ",
        f"{figures.sum(total('add_requests')):,.0f} pods set up, ",
        (f"{failures:,.0f} without an address", "red" if failures else ""),
        f", {figures.sum(total('aws_api_requests')):,.0f} EC2 calls, ",
        f"{figures.sum(total('aws_api_errors')):,.0f} refused",
    )


def _unread(figures: Figures) -> RenderableType:
    reasons = _joined(
        f"{labels['reason']} {value:.0f}"
        for labels, value in figures.all("vpc_cni_cluster_unread_nodes")
        if value
    )
    names = [labels["node"] for labels, value in figures.all("vpc_cni_node_read") if not value]
    return Text.assemble(("\nnot read: ", "red"), f"{reasons}\n", (_some(names), "dim"))


def _blocked(figures: Figures) -> RenderableType:
    """How many nodes each reason blocks, and which nodes those are."""
    samples = [labels for labels, _ in figures.all("vpc_cni_node_blocked")]
    counts = Counter(labels["reason"] for labels in samples)
    reasons = _joined(f"{reason} {count}" for reason, count in counts.most_common())
    names = list(dict.fromkeys(labels["node"] for labels in samples))
    return Text.assemble(("\nblocked: ", "red"), f"{reasons}\n", (_some(names), "dim"))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_NODES} more" if len(names) > _SHOWN_NODES else ""
    return _joined(name.split(".")[0] for name in names[:_SHOWN_NODES]) + more


def _sources(figures: Figures) -> RenderableType:
    text = Text("\nsources: ")
    for labels, up in figures.all("vpc_cni_exporter_source_up"):
        text.append(labels["source"], style="green" if up else "bold red")
        text.append("  " if up else " (down)  ")
    return text


def _joined(words: Iterable[str]) -> str:
    return ", ".join(words)
