"""The books of introspection: which bodies were served whole, and how far the pages were off them.

A body stands until the world moves on or its node's introspection changes: the readers that are
held against it ask anew in every cycle.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from exporter.sim.holdings import Holding


@dataclass(frozen=True, slots=True)
class Told:
    """How many attached addresses one answer told of, and in which poll."""

    attached: int
    poll: int


class Persisting:
    """The last two differences of each subject; what both show is more than churn."""

    def __init__(self) -> None:
        self._found: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, subject: str, difference: int) -> None:
        """Note one more difference."""
        self._found[subject] = [*self._found[subject][-1:], difference]

    @property
    def subjects(self) -> Collection[str]:
        """Everything that was compared."""
        return self._found.keys()

    def of(self, subject: str) -> int:
        """Return the smaller of the last two where they point the same way, else 0."""
        found = self._found.get(subject, ())
        if len(found) < 2 or found[0] * found[1] <= 0:
            return 0
        return min(found, key=abs)


class Bodies:
    """What was served of introspection, by pod."""

    def __init__(self) -> None:
        self._standing: dict[str, tuple[str, Holding]] = {}
        self._pages: dict[str, Told] = {}
        self._bodies: dict[str, Told] = {}
        self._drift = Persisting()

    def page(self, pod: str, attached: int, *, poll: int) -> None:
        """Note what a page said that was served whole."""
        self._pages[pod] = Told(attached, poll)
        self._compare(pod)

    def body(self, pod: str, holding: Holding, *, node: str, poll: int) -> None:
        """Note a body that was served whole."""
        self._standing[pod] = (node, holding)
        self._bodies[pod] = Told(holding.attached, poll)
        self._compare(pod)

    def standing(self, pod: str) -> Holding | None:
        """Return what the latest body of a pod said, where it still holds."""
        return self._standing[pod][1] if pod in self._standing else None

    def drift(self, pod: str) -> int:
        """Return by how much the bodies of a pod keep exceeding its pages."""
        return self._drift.of(pod)

    def moved_on(self) -> None:
        """Let no body stand any more: the world has moved on."""
        self._standing.clear()

    def changed(self, node: str) -> None:
        """Let no body of a node stand any more."""
        self._standing = {pod: it for pod, it in self._standing.items() if it[0] != node}

    def _compare(self, pod: str) -> None:
        """Compare page and body where both are there and of one poll; each counts once."""
        page, body = self._pages.get(pod), self._bodies.get(pod)
        if page is not None and body is not None and page.poll == body.poll:
            self._drift.add(pod, body.attached - page.attached)
            del self._pages[pod], self._bodies[pod]
