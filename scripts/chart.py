"""Writes what the chart has from elsewhere, or has twice.

    python scripts/chart.py [FOLDER]

* values.schema.json: `definitions.config`, one property for each of the exporter's settings
* files/settings.yaml: the settings' defaults, which ports and rights follow
* README.md: the tables of values and settings, between the marks

A row of the table of values is a key of values.yaml with its comment. A mapping with a comment is
one row, and one without is told by what is in it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from exporter.setting_types import SOURCES
from exporter.settings import FIELDS, Settings

CHART = Path(__file__).parents[1] / "charts" / "vpc-cni-exporter"

# What checks of the settings say that no type does.
_ADDRESS = r"^\S*:[0-9]{1,5}$"
_ADDRESS_OR_NONE = r"^(\S*:[0-9]{1,5})?$"
# By what pydantic calls them, which behind a check of ours is its own name.
_KEPT = {
    "type": "type",
    "enum": "enum",
    "items": "items",
    "minLength": "minLength",
    "minimum": "minimum",
    "exclusiveMinimum": "exclusiveMinimum",
    "maximum": "maximum",
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One value: its path, its default as YAML in one line, and its comment."""

    path: str
    default: str
    meaning: str


def settings_schema() -> dict[str, Any]:
    """Return the JSON schema of `config`."""
    said = Settings.model_json_schema()["properties"]
    properties = {name: _property(name, field, said[name]) for name, field in FIELDS.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _property(name: str, field: FieldInfo, said: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"description": field.description, "default": _plain(field.default)}
    made |= {key: said[given] for given, key in _KEPT.items() if given in said}
    if name.endswith("_address"):
        made["pattern"] = _ADDRESS if field.default else _ADDRESS_OR_NONE
    if name == "sources":
        made["items"] = {"enum": list(SOURCES)}
    return made


def defaults() -> str:
    """Return files/settings.yaml."""
    plain = {name: _plain(field.default) for name, field in FIELDS.items()}
    head = "# The settings' defaults, which ports and rights follow. Written by `make docs`.\n"
    return head + yaml.safe_dump(plain, sort_keys=False)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of a values.yaml."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    yield from _rows(node, "", text.splitlines())


def _rows(mapping: yaml.MappingNode, prefix: str, lines: Sequence[str]) -> Iterator[Row]:
    for key, value in mapping.value:
        path, meaning = prefix + key.value, _comment(lines, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and value.value and not meaning:
            yield from _rows(value, f"{path}.", lines)
        else:
            yield Row(path, _one_line(value), meaning)


def _comment(lines: Sequence[str], at: int) -> str:
    """Return the comment right above a line."""
    start = at
    while start and lines[start - 1].lstrip().startswith("# "):
        start -= 1
    return " ".join(line.lstrip()[2:] for line in lines[start:at])


def _one_line(node: yaml.Node) -> str:
    value = yaml.safe_load(yaml.serialize(node, Dumper=yaml.SafeDumper))
    return json.dumps(value, ensure_ascii=False)


def tables(values: str) -> Mapping[str, str]:
    """Return the tables of README.md by the name of their mark."""
    told = [f"| `{it.path}` | `{it.default}` | {it.meaning} |\n" for it in rows(values)]
    settings = [
        f"| `config.{name}` | `{json.dumps(_plain(field.default))}` | {field.description} |\n"
        for name, field in FIELDS.items()
    ]
    head = "| value | default | meaning |\n| --- | --- | --- |\n"
    return {"values": head + "".join(told), "settings": head + "".join(settings)}


def files(chart: Path) -> Mapping[Path, str]:
    """Return what is written, by where it belongs, made of what is there now."""
    schema = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    schema["definitions"]["config"] = settings_schema()
    readme = (chart / "README.md").read_text(encoding="utf-8")
    for name, table in tables((chart / "values.yaml").read_text(encoding="utf-8")).items():
        before, mark, rest = readme.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        readme = before + mark + table + end + after
    return {
        chart / "values.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        chart / "files" / "settings.yaml": defaults(),
        chart / "README.md": readme,
    }


def main() -> int:
    """Write the files of a chart."""
    chart = Path(sys.argv[1]) if sys.argv[1:] else CHART
    for path, text in files(chart).items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
