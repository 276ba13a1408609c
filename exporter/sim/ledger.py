"""The books' counters: what an ideal reader of the pages really served whole would have counted.

A pod's page is compared with the last page of that same pod (uid). A value that fell, a series
that vanished, or a start time later by more than 2 s and not before the previous reading less 5 s,
is a restart: all of the pod's series count from zero. A pod first read is a baseline, unless its
process started since it became a target or since the previous poll: then it counts from zero.

A pod became a target when the API first showed it, or when the reader first came, whichever is
later. The polls of the reader are not announced, so they are derived: a poll ends when a pod that
answered in it answers again, and when the world takes a step. The time of a poll is that of its
first answer.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.sim import vocabulary
from exporter.sim.bodies import Bodies
from exporter.sim.facts import Facts, Series
from exporter.sim.holdings import Holding
from exporter.sim.minutes import Minute

LATER = 2.0
WOBBLE = 5.0
LATELY_SECONDS = 120.0
_A_POLL_OR_TWO = 3.0


@dataclass(slots=True)
class Reading:
    """The latest page of one pod, and when it was served last."""

    facts: Facts
    time: float


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose page was read: the pod, the node it is on, and when the API first showed the pod."""

    pod: str
    node: str
    appeared: float


class Ledger:
    """What has been gained since the reader came."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begin again, as a reader does that was started anew."""
        self._readings: dict[str, Reading] = {}
        self._gains: defaultdict[Series, float] = defaultdict(float)
        self._failures: defaultdict[str, float] = defaultdict(float)
        self._errors: defaultdict[str, dict[tuple[str, str], float]] = defaultdict(dict)
        self._came: float | None = None
        self._poll: set[str] = set()
        self._poll_began: float | None = None
        self._previous_poll: float | None = None
        self._polls = 0
        self._introspected: set[str] = set()
        self.bodies = Bodies()
        self._minute = Minute()

    def minute(self) -> Minute:
        """Return what was gained since the last call, or since the reader came."""
        ended, self._minute = self._minute, Minute()
        return ended

    def listed(self) -> None:
        """Note that the reader has asked the API for pods."""
        if self._came is None:
            self._came = self._clock()

    def stepped(self) -> None:
        """Note that the world has moved on, so that the next answer belongs to another poll."""
        if self._poll:
            self._previous_poll = self._poll_began
            self._poll.clear()
        self._introspected.clear()
        self._polls += 1

    def introspected(self, reader: Reader, holding: Holding) -> None:
        """Note one body of introspection that was served whole."""
        if reader.pod in self._introspected:
            self.stepped()
        self._introspected.add(reader.pod)
        self.bodies.body(reader.pod, holding, node=reader.node, poll=self._polls)

    def served(self, reader: Reader, facts: Facts) -> None:
        """Note one page that was served whole; one that contradicts itself is no reading."""
        if facts.gauges is not None and facts.gauges.total < facts.gauges.assigned:
            return
        now = self._clock()
        self.listed()
        if reader.pod in self._poll:
            self.stepped()
        if not self._poll:
            self._poll_began = now
        self._poll.add(reader.pod)
        self._minute.pages += 1
        last = self._readings.get(reader.pod)
        if last is None:
            self._first(reader, facts)
        elif last.facts is not facts:
            before = {} if restarted(last, facts) else last.facts.counters
            self._gain(reader, facts, before=before)
        self._readings[reader.pod] = Reading(facts, now)
        if facts.gauges is not None:
            self.bodies.page(reader.pod, facts.gauges.total, poll=self._polls)

    def gains(self) -> Mapping[Series, float]:
        """Return every published cluster counter that is not zero."""
        return {name: value for name, value in self._gains.items() if value}

    def failures(self, node: str) -> float:
        """Return how often this node's ipamd had nothing to give."""
        return self._failures.get(node, 0.0)

    def errors(self, node: str) -> set[tuple[str, str]]:
        """Return the calls of AWS and their error codes that this node's ipamd met lately."""
        oldest = self._clock() - LATELY_SECONDS
        return {met for met, when in self._errors.get(node, {}).items() if when >= oldest}

    def wavers(self, node: str) -> bool:
        """Whether an error of this node's is about to be of old, or has just become so."""
        ages = (self._clock() - when for when in self._errors.get(node, {}).values())
        return any(abs(age - LATELY_SECONDS) < _A_POLL_OR_TWO for age in ages)

    def _first(self, reader: Reader, facts: Facts) -> None:
        assert self._came is not None
        since = max(reader.appeared, self._came)
        if self._previous_poll is not None:
            since = min(since, self._previous_poll)
        if facts.started >= since:
            self._gain(reader, facts, before={})

    def _gain(self, reader: Reader, facts: Facts, *, before: Mapping[Series, float]) -> None:
        gains = {it: value - before.get(it, 0) for it, value in facts.counters.items()}
        self._minute.add(gains)
        for source, gained in gains.items():
            if not gained:
                continue
            if (name := vocabulary.published(source)) is not None:
                self._gains[name] += gained * vocabulary.scale(source[0])
            if source[0] == vocabulary.FAILURES:
                self._failures[reader.node] += gained
            if source[0] == vocabulary.AWS_ERRORS and gained > 0:
                assert self._poll_began is not None
                labels = dict(source[1])
                met = labels.get("api", ""), labels.get("error", "")
                self._errors[reader.node][met] = self._poll_began


def restarted(last: Reading, facts: Facts) -> bool:
    """Say whether another process than the last one wrote this page."""
    now, before = facts.counters, last.facts.counters
    if any(source not in now or now[source] < value for source, value in before.items()):
        return True
    later = facts.started - last.facts.started > LATER
    return later and facts.started >= last.time - WOBBLE
