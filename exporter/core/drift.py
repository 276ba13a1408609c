"""Where ipamd's books, its page and EC2 disagree for longer than pods' coming and going explains.

They are read at different moments, so one difference says nothing; what two comparisons in a row
agree on does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exporter.core.figures import difference, figures
from exporter.core.model import Outcome, Read


@dataclass(frozen=True, slots=True)
class Drift:
    """By how many addresses one pod's figures differed at the latest comparison and before."""

    latest: int
    before: int | None = None

    @property
    def persistent(self) -> int:
        """The difference that both have, 0 where they point different ways."""
        if self.before is None or (self.before > 0) != (self.latest > 0):
            return 0
        return min(self.before, self.latest, key=abs)


# By the pod's uid: with another pod the comparison begins anew.
Drifts = Mapping[str, Drift]


def against_page(before: Drifts, outcomes: Iterable[Outcome]) -> Drifts:
    """Return by what the books exceed the pages after a cycle, and after the one before."""
    return _advanced(before, outcomes, lambda it: difference(it.reading, it.target))


def against_ec2(before: Drifts, outcomes: Iterable[Outcome], held: Mapping[str, int]) -> Drifts:
    """Return by what ipamd's figures exceed EC2's after a survey, and after the one before.

    `held` are by node the addresses for pods that EC2 shows; a node that it does not show is not
    compared.
    """

    def exceeds(it: Read) -> int | None:
        seen, attached = held.get(it.target.node.name), figures(it.reading, it.target).attached
        return None if seen is None or attached is None else attached - seen

    return _advanced(before, outcomes, exceeds)


def _advanced(
    before: Drifts, outcomes: Iterable[Outcome], compared: Callable[[Read], int | None]
) -> Drifts:
    """Go on by one comparison; a pod without one keeps what it had, unless it is gone."""
    found: dict[str, Drift] = {}
    for outcome in outcomes:
        pod = outcome.target.pod
        if pod is None:
            continue
        last = before.get(pod.uid)
        exceeds = compared(outcome) if isinstance(outcome, Read) else None
        if exceeds is not None:
            last = Drift(exceeds, None if last is None else last.latest)
        if last is not None:
            found[pod.uid] = last
    return found
