"""What a full run of the benchmarks has written, or what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.sizes import FULL

_WHAT_TO_DO = "`make bench` measures them all"


class FullRunError(Exception):
    """A file is not what a full run has written; the message says what to do."""


def full_run(file: Path) -> Mapping[str, Any]:
    """Return a file's figures, of a full run over all of its sizes; FullRunError otherwise."""
    try:
        told: object = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FullRunError(f"{file}: there are no figures; {_WHAT_TO_DO}") from None
    except (OSError, ValueError) as error:
        raise FullRunError(f"{file}: no figures can be read ({error}); {_WHAT_TO_DO}") from error
    if not isinstance(told, dict) or "scale" not in told:
        raise FullRunError(f"{file}: no figures of the benchmarks; {_WHAT_TO_DO}")
    if told["scale"] != FULL.name:
        raise FullRunError(f"{file}: a run of scale {told['scale']}; {_WHAT_TO_DO}")
    missing = list(_missing(told.get("found", {})))
    if missing:
        raise FullRunError(f"{file}: without {', '.join(missing)}; {_WHAT_TO_DO}")
    return told


def _missing(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a full run finds and this one has not."""
    works = {it["nodes"] for it in found.get("works", ())}
    peaks = {int(nodes) for nodes in found.get("peaks", ())}
    for nodes in FULL.nodes:
        if nodes not in works:
            yield f"works at {nodes:,} nodes"
        if nodes not in peaks:
            yield f"the peak at {nodes:,} nodes"
    if found.get("idle") is None:
        yield "watching"
