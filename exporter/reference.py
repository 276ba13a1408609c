"""docs/METRICS.md and docs/SETTINGS.md, written from the tables they describe."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from exporter.core.catalog import EXPORTER_METRICS, LEGACY_TABLE, METRICS, ON_CLOUDWATCH, PREFIX
from exporter.core.cni_settings import NAMES, NUMBERS
from exporter.settings import ACCEPTED, ALIASES, CONFIG_VARIABLE, FIELDS, flag, variable

_GENERATED = "<!-- Written by `make docs`; do not edit. -->\n\n"


def metrics_page() -> str:
    """Return docs/METRICS.md."""
    lines = [
        _GENERATED,
        "# Metrics\n\n",
        f"Every metric that is published, beside `process_*` and `python_*`. The prefix is "
        f"`{PREFIX}_`. What is not known has no sample. Counters count from the start of the "
        "exporter; their labels are closed lists, and every child is there from the first report.\n"
        "\nA family is withdrawn after three intervals without news from its source; "
        "the exporter's own stay.\n",
    ]
    own, legacy = {m.name for m in EXPORTER_METRICS}, {m.name for m in LEGACY_TABLE.metrics}
    sections = {
        "Cluster, zones, node groups, nodes and subnets": {m.name for m in METRICS} - own - legacy,
        "The exporter itself": own,
        "Only with `legacy_metrics`": legacy,
    }
    for title, names in sections.items():
        lines.append(
            f"\n## {title}\n\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n"
        )
        lines += [
            f"| `{m.name}` | {m.kind.value} | {', '.join(f'`{label}`' for label in m.labels)} "
            f"| {m.help} |\n"
            for m in METRICS
            if m.name in names
        ]
    numbers, others = _listed(NUMBERS), _listed(NAMES[len(NUMBERS) :])
    lines.append(
        "\n## Settings of the CNI\n\nThose that `vpc_cni_setting` tells of. "
        f"`vpc_cni_setting_value` too: {numbers}. Others: {others}.\n"
    )
    return "".join(lines) + _cloudwatch_section()


def _cloudwatch_section() -> str:
    """What CloudWatch has, and what a point of it says."""
    lines = [
        "\n## On CloudWatch\n\n"
        "With `cloudwatch`, in the namespace `cloudwatch_namespace`, with the dimension "
        "`CLUSTER_ID`; those of subnets with `SubnetId` beside it, and only with "
        "`cloudwatch_subnets`. cni-metrics-helper's 20 names keep its unit, Count.\n\n"
        "There is one point per metric and minute, stamped with the minute, so that `Sum`, "
        "`Average` and `Maximum` over a minute are all right. A *last reading* is the minute's "
        "last whole cycle over the nodes, whatever part of them it could read: `nodesExpected`, "
        "`nodesRead` and `coveragePercent` are of that same cycle. A *gain* is what the counter "
        "rose since the last minute that told one. A *statistic set* is of all calls that the "
        "minute's cycles told of first; its minimum and maximum are the smallest and the largest "
        "mean of one node and one API between two readings. A minute without a new reading has no "
        "point; gains then come with the next. At the end of the program the unfinished minute's "
        "gains are sent, and not its gauges.\n\n"
        "What CloudWatch does not take is kept for a day and sent again. A call whose answer was "
        "lost may have been taken, and is repeated; "
        f"`{PREFIX}_exporter_cloudwatch_points_total` counts that.\n\n"
        "| name | unit | a point is | of |\n| --- | --- | --- | --- |\n"
    ]
    known = {m.help for m in METRICS}
    for m in ON_CLOUDWATCH:
        own = "" if m.help in known else m.help
        of = ": ".join(filter(None, (f"`{m.twin}`" if m.twin else "", own)))
        lines.append(f"| `{m.name}` | {m.unit} | {m.measure.value} | {of} |\n")
    return "".join(lines)


def settings_page() -> str:
    """Return docs/SETTINGS.md."""
    lines = [
        _GENERATED,
        "# Settings\n\n",
        "A flag overrides the environment, the environment the file, the file the default; an "
        f"empty variable is unset. `{CONFIG_VARIABLE}` names a YAML file whose keys are the names "
        "below. Durations are seconds, lists are comma-separated, booleans are yes, no, true, "
        "false, 1 or 0. Wrong values are all told at once, and the exit status is 2.\n\n",
        "| name | variable | flag | default | meaning |\n| --- | --- | --- | --- | --- |\n",
    ]
    lines += [
        f"| `{name}` | `{variable(name)}` | `{flag(name)}` | {_default(field.default)} "
        f"| {field.description} |\n"
        for name, field in FIELDS.items()
    ]
    lines.append(
        "\n## Variables of cni-metrics-helper\n\nIts manifest works unchanged. Our own names win "
        "over these.\n\n| variable | stands for |\n| --- | --- |\n"
    )
    lines += [f"| `{alias}` | `{name}` |\n" for alias, name in ALIASES.items()]
    lines += [f"| `{name}` | accepted: {remark} |\n" for name, remark in ACCEPTED.items()]
    return "".join(lines)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _default(value: object) -> str:
    if value in ("", ()):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def write(folder: Path) -> None:
    """Write the generated pages into a folder."""
    (folder / "METRICS.md").write_text(metrics_page(), encoding="utf-8")
    (folder / "SETTINGS.md").write_text(settings_page(), encoding="utf-8")
