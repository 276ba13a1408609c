"""What a PromQL expression names, held against the series that there are.

Labels are followed through the expression, so that a grouping or a join by a label that its
operand cannot have is found as well as a misspelt matcher.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import promql_parser as promql

from exporter.core.catalog import METRICS, Kind

# What a scrape adds to every series; `cluster` where the monitor's relabelling gives it.
TARGET = frozenset(
    {"cluster", "container", "endpoint", "instance", "job", "namespace", "pod", "service"}
)
Series = Mapping[str, frozenset[str]]

# These pick samples and leave them as they are; the others make new ones.
_PICKING = frozenset({"topk", "bottomk"})
_SET_OPERATORS = frozenset({"and", "or", "unless"})
_RELABELS = frozenset({"label_join", "label_replace"})


def _samples() -> Iterable[tuple[str, frozenset[str]]]:
    for metric in METRICS:
        suffixes = ("_sum", "_count") if metric.kind is Kind.SUMMARY else ("",)
        for suffix in suffixes:
            yield metric.name + suffix, frozenset(metric.labels) | TARGET


# Every published series and the labels it can have.
CATALOGUED: Series = dict(_samples())


def named(expression: str) -> frozenset[str]:
    """Return the names of the series that an expression reads; ValueError where it is none."""
    found = set()

    def note(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.add(_name(node))

    promql.walk(promql.parse(expression), note)
    return frozenset(found)


def labels(expression: str, known: Series) -> frozenset[str]:
    """Return the labels that what comes out of an expression can have."""
    return _Reading(known).of(promql.parse(expression))


def violations(expression: str, known: Series) -> tuple[str, ...]:
    """Return what is wrong with an expression, one sentence each: nothing, for a good one."""
    try:
        tree = promql.parse(expression)
    except ValueError as error:
        return (f"it does not parse: {error}",)
    reading = _Reading(known)
    reading.of(tree)
    return tuple(dict.fromkeys(reading.found))


class _Reading:
    """One expression's walk from its selectors up; `found` is what was wrong on the way."""

    def __init__(self, known: Series) -> None:
        self.known = known
        self.found: list[str] = []

    def of(self, node: promql.Expr) -> frozenset[str]:
        """Return the labels that the value of a node can have."""
        match node:
            case promql.VectorSelector():
                has = self._selector(node)
            case promql.MatrixSelector():
                has = self._selector(node.vector_selector)
            case promql.AggregateExpr():
                has = self._aggregate(node)
            case promql.BinaryExpr():
                has = self._binary(node)
            case promql.Call():
                has = self._call(node)
            case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
                has = self.of(node.expr)
            case _:
                has = frozenset()
        return has

    def _selector(self, node: promql.VectorSelector) -> frozenset[str]:
        name = _name(node)
        if name not in self.known:
            self.found.append(f"there is no series {name}")
            return TARGET
        has = self.known[name]
        matched = [it.name for it in node.matchers.matchers if it.name != "__name__"]
        self._expect(matched, has, f"{name} has no label")
        return has

    def _aggregate(self, node: promql.AggregateExpr) -> frozenset[str]:
        has = self.of(node.expr)
        left = frozenset[str]()
        if node.modifier is not None:
            given = frozenset(node.modifier.labels)
            if node.modifier.type == promql.AggModifierType.By:
                self._expect(given, has, "it groups by what its operand has not")
                left = given
            else:
                # One list of what a scrape may add does for all series.
                may = has | TARGET | {"node"}
                self._expect(given, may, "it groups without what its operand has not")
                left = has - given
        return has if str(node.op) in _PICKING else left

    def _binary(self, node: promql.BinaryExpr) -> frozenset[str]:
        left, right = self.of(node.lhs), self.of(node.rhs)
        if _is_scalar(node.lhs) or _is_scalar(node.rhs):
            return left | right
        operator, modifier = str(node.op), node.modifier
        matching = None if modifier is None else modifier.matching
        on = matching is not None and matching.type == promql.LabelModifierType.Include
        given = frozenset(() if matching is None else matching.labels)
        self._expect(given, left & right if on else left | right, "it joins by what a side has not")
        if operator in _SET_OPERATORS:
            return left | right if operator == "or" else left
        if modifier is not None and modifier.group_labels is not None:
            many, one = _sides(modifier, left, right)
            extra = frozenset(modifier.group_labels)
            self._expect(extra, one, "it takes over what the one side has not")
            return many | extra
        if on:
            return given
        return left - given

    def _call(self, node: promql.Call) -> frozenset[str]:
        has = frozenset[str]().union(*map(self.of, node.args))
        if node.func.name not in _RELABELS:
            return _told_by_absence(node) if node.func.name.startswith("absent") else has
        _, target, *rest = [
            it.val if isinstance(it, promql.StringLiteral) else "" for it in node.args
        ]
        sources = rest[1:2] if node.func.name == "label_replace" else rest[1:]
        self._expect(filter(None, sources), has, "it copies what its operand has not")
        return has | {target}

    def _expect(self, given: Iterable[str], has: Collection[str], what: str) -> None:
        self.found += [f"{what}: {label}" for label in sorted(set(given)) if label not in has]


def _told_by_absence(node: promql.Call) -> frozenset[str]:
    """The labels of `absent`: those that its selector matches by equality."""
    (of,) = node.args
    selector = of.vector_selector if isinstance(of, promql.MatrixSelector) else of
    if not isinstance(selector, promql.VectorSelector):
        return frozenset()
    matchers = selector.matchers.matchers
    return frozenset(it.name for it in matchers if it.op == promql.MatchOp.Equal) - {"__name__"}


def _name(node: promql.VectorSelector) -> str:
    """The name of the series, also where it is written as a matcher."""
    said = [it.value for it in node.matchers.matchers if it.name == "__name__"]
    return node.name or (said[0] if said else "")


def _is_scalar(node: promql.Expr) -> bool:
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr):
        return _is_scalar(node.expr)
    if isinstance(node, promql.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    if isinstance(node, promql.Call):
        return bool(node.func.return_type == promql.ValueType.Scalar)
    return isinstance(node, promql.NumberLiteral)


def _sides(
    modifier: promql.BinModifier, left: frozenset[str], right: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """The labels of the many side and those of the one side."""
    if modifier.card == promql.VectorMatchCardinality.OneToMany:
        return right, left
    return left, right
