"""A YAML file as sections, keys and values that know their lines, so that a mistake is found.

Built on YAML's nodes and not on its objects: a key that stands there twice is no dictionary's
business. No message quotes the file, as it holds secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

_NULL: Final = "tag:yaml.org,2002:null"
_BOOLEAN: Final = "tag:yaml.org,2002:bool"
_TRUE: Final = ("yes", "true", "on")


class WebConfigError(Exception):
    """The web-config cannot be used; `problems` says all that is wrong with it, and where."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(slots=True)
class Document:
    """One file: where it is, on which line each key was found, and what is wrong so far."""

    path: Path
    problems: list[str] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    def problem(self, key: str, text: str) -> None:
        """Note that something is wrong with a key (as `section.key`), or with the file."""
        line = self.lines.get(key) or self.lines.get(key.rpartition(".")[0])
        place = f"{self.path}:{line}" if line else str(self.path)
        self.problems.append(f"{place}: {key}: {text}" if key else f"{place}: {text}")

    def root(self, content: bytes) -> Section:
        """Return the file's top section; `WebConfigError` where it is no YAML mapping."""
        node = self._composed(content)
        if isinstance(node, yaml.MappingNode):
            return Section(self, "", node)
        if node is None:
            # Half a write, or the wrong key of a Secret: no reason to let everybody in.
            self.problem("", "is empty; {} says that nothing is guarded")
        else:
            self.problem("", "must hold a mapping")
        raise WebConfigError(self.problems)

    def _composed(self, content: bytes) -> yaml.Node | None:
        try:
            return yaml.compose(content.decode(), Loader=yaml.SafeLoader)
        except UnicodeDecodeError:
            self.problem("", "is not UTF-8")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.lines[""] = mark.line + 1 if mark else 0
            self.problem("", f"is no YAML: {error.problem or error.context}")
        except yaml.YAMLError as error:
            self.problem("", f"is no YAML: {type(error).__name__}")
        except RecursionError:
            self.problem("", "is nested too deeply")
        raise WebConfigError(self.problems)


class Section:
    """A mapping; each value is taken once, and what is left at the end has no business there."""

    def __init__(self, document: Document, name: str, node: yaml.MappingNode | None) -> None:
        self._document = document
        self._prefix = f"{name}." if name else ""
        self._values: dict[str, yaml.Node] = {}
        for key, value in node.value if node is not None else ():
            self._enter(key, value)

    def _enter(self, key: yaml.Node, value: yaml.Node) -> None:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            self._document.problems.append(f"{self._document.path}:{line}: a key must be a word")
            return
        name = self.named(str(key.value))
        twice = name in self._document.lines
        self._document.lines[name] = line
        if twice:
            self._document.problem(name, "is there twice")
        self._values[str(key.value)] = value

    def __bool__(self) -> bool:
        """Whether there is anything left in it."""
        return bool(self._values)

    def named(self, key: str) -> str:
        """Return a key with the name of its section."""
        return self._prefix + key

    def problem(self, key: str, text: str) -> None:
        """Note that something is wrong with a key of the section."""
        self._document.problem(self.named(key), text)

    def section(self, key: str) -> Section:
        """Return the section under a key, an empty one where there is none."""
        node = self._taken(key)
        if node is not None and not isinstance(node, yaml.MappingNode):
            self.problem(key, "must hold a mapping")
            node = None
        return Section(self._document, self.named(key), node)

    def text(self, key: str) -> str:
        """Return the string under a key, an empty one where there is none."""
        node = self._taken(key)
        return "" if node is None else self._string(key, node)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return the boolean under a key."""
        node = self._taken(key)
        if node is not None and node.tag == _BOOLEAN:
            return str(node.value).lower() in _TRUE
        if node is not None:
            self.problem(key, "must be true or false")
        return default

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return the list of strings under a key, None where there is none."""
        node = self._taken(key)
        if node is None:
            return None
        if not isinstance(node, yaml.SequenceNode):
            self.problem(key, "must be a list")
            return None
        return tuple(self._string(key, part) for part in node.value)

    def entries(self) -> Iterator[tuple[str, str]]:
        """Give all keys with their strings."""
        for key in tuple(self._values):
            yield key, self.text(key)

    def refuse(self, key: str, reason: str) -> None:
        """Note a problem where a key is there that cannot be honoured."""
        if self._values.pop(key, None) is not None:
            self.problem(key, reason)

    def finish(self) -> None:
        """Note what was not taken: nobody knows it."""
        for key in self._values:
            self.problem(key, "is no key of a web-config")

    def _taken(self, key: str) -> yaml.Node | None:
        node = self._values.pop(key, None)
        return None if node is None or node.tag == _NULL else node

    def _string(self, key: str, node: yaml.Node) -> str:
        # Whatever YAML takes a word for, as the toolkit does: `X-XSS-Protection: 0` is no number.
        if not isinstance(node, yaml.ScalarNode) or node.tag == _NULL:
            self.problem(key, "must be a string")
            return ""
        return str(node.value)
