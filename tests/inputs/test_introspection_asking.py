"""Which node's introspection is asked when: the cost of those that do not answer, and carrying."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.introspection import Introspection, IpamdEni
from exporter.core.model import Reason, Target
from exporter.inputs.fetch import Fetch, FetchFailed, Place
from exporter.inputs.introspection import AskingConfig, Introspections, Visit
from exporter.inputs.introspection.asking import cooldown_seconds, port_of
from tests.builders import NOW, node, pod, target
from tests.test_cycle import FakeTime

LONG = 1e9
CONFIG = AskingConfig(port=61679, interval=30.0, pause=600.0, seconds=1.0)
PLACE = Place(61679, "/v1/enis", 1.0, 2 * 1024 * 1024)
ENICONFIG = replace(PLACE, path="/v1/eni-configs", limit=256 * 1024)
REFUSED = FetchFailed(Reason.UNREACHABLE, "Connection refused")
LATE = FetchFailed(Reason.TIMEOUT, "no connection")
RUBBISH = FetchFailed(Reason.MALFORMED, "not HTTP")
CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}


def body(addresses: int, freed_ago: float = LONG) -> bytes:
    """A body of one ENI with so many addresses, of which the first was freed some time ago."""
    never = "0001-01-01T00:00:00Z"
    at = never if freed_ago == LONG else f"2026-08-20T10:01:{45 - freed_ago:02.0f}Z"
    held = {f"10.0.1.{n}": {"Assigned": False, "UnassignedTime": at} for n in range(addresses)}
    return json.dumps({"ENIIPPools": {"eni-1": {"IPv4Addresses": held}}}).encode()


def books(addresses: int, time: float = NOW, **changed: object) -> Introspection:
    whole = Introspection(time=time, enis=(IpamdEni(id="eni-1", attached=addresses),))
    return replace(whole, **changed)  # type: ignore[arg-type]


def until(deadline: float) -> Visit:
    """A visit in which nothing is waited for but the node."""

    async def nothing() -> None:
        pass

    return Visit(deadline, nothing, nullcontext)


@dataclass
class World:
    """Nodes that answer as they are told, and two clocks that stand still until they are moved."""

    config: AskingConfig = CONFIG
    now: float = 1_000.0
    time: float = NOW
    answers: dict[str, bytes | FetchFailed] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    asked: list[tuple[str, Place]] = field(default_factory=list)
    usual: bytes | FetchFailed = REFUSED

    def __post_init__(self) -> None:
        self.introspections = Introspections(
            self.config, self._at, clock=lambda: self.time, stopwatch=lambda: self.now
        )

    def _at(self, place: Place) -> Fetch:
        async def fetch(where: Target) -> bytes:
            assert where.pod is not None
            name = where.pod.uid
            self.asked.append((name, place))
            await asyncio.sleep(self.seconds.get(name, 0.0))
            key = name if place.path == "/v1/enis" else f"{name} eniconfig"
            answer = self.answers.get(key, self.usual)
            if isinstance(answer, FetchFailed):
                raise answer
            return answer

        return fetch

    def cycle(self, *targets: Target, time_left: float = 5.0) -> list[Introspection | None]:
        """What is known of each target after a cycle in which all are visited at once."""

        async def visit(where: Target) -> Introspection | None:
            deadline = asyncio.get_running_loop().time() + time_left
            return await self.introspections.of(where, until(deadline))

        async def all_of_it() -> list[Introspection | None]:
            self.introspections.begin(targets)
            return list(await asyncio.gather(*map(visit, targets)))

        with asyncio.Runner(loop_factory=FakeTime) as runner:
            return runner.run(all_of_it())

    def cycles(self, *targets: Target, count: int, every: float) -> list[int]:
        """How many requests there were in each of some cycles."""
        found = []
        for _ in range(count):
            before = len(self.asked)
            self.cycle(*targets)
            found.append(len(self.asked) - before)
            self.now += every
        return found


def runs(uid: str = "a", **env: str) -> Target:
    return target(node(f"node-{uid}"), pod(uid, env=env))


A = runs("a")


class TestANodeThatAnswers:
    def test_is_asked_at_once_for_its_enis(self) -> None:
        world = World(answers={"a": body(9)})
        assert world.cycle(A) == [books(9)]
        assert world.asked == [("a", PLACE)]

    @pytest.mark.parametrize(
        ("interval", "every", "requests"),
        [
            pytest.param(30.0, 30.0, [1, 1, 1, 1, 1, 1], id="in every cycle"),
            pytest.param(30.0, 10.0, [1, 0, 0, 1, 0, 0], id="in every third cycle"),
            pytest.param(30.0, 29.8, [1, 1, 1, 1, 1, 1], id="though a cycle begins a bit early"),
            pytest.param(30.0, 29.0, [1, 0, 1, 0, 1, 0], id="but no sooner"),
            pytest.param(0.0, 0.05, [1, 1, 1, 1, 1, 1], id="as often as it may be"),
        ],
    )
    def test_is_asked_again_after_the_interval(
        self, interval: float, every: float, requests: list[int]
    ) -> None:
        world = World(replace(CONFIG, interval=interval), answers={"a": body(9)})
        assert world.cycles(A, count=6, every=every) == requests

    def test_has_its_last_books_in_between(self) -> None:
        world = World(answers={"a": body(9)})
        world.cycle(A)
        world.now, world.time = world.now + 10, NOW + 10
        world.answers["a"] = body(12)
        assert world.cycle(A) == [books(9, carried=True)]
        world.now, world.time = world.now + 20, NOW + 30
        assert world.cycle(A) == [books(12, NOW + 30)]

    def test_has_an_eni_that_did_not_change_as_one_value_from_body_to_body(self) -> None:
        def two(first: int, second: int) -> bytes:
            cards = {
                card: {"ENIs": {f"eni-{card}": {"DeviceNumber": device, "IPv6Cidrs": {}}}}
                for card, device in (("0", first), ("1", second))
            }
            return json.dumps(cards).encode()

        world = World(answers={"a": two(1, 1)})
        (before,) = world.cycle(A)
        world.now += 30
        world.answers["a"] = two(1, 2)
        (after,) = world.cycle(A)
        assert before is not None
        assert after is not None
        assert [eni.device for eni in after.enis] == [1, 2]
        assert after.enis[0] is before.enis[0]

    def test_is_counted_by_its_own_cooldown_at_the_time_of_its_answer(self) -> None:
        long, usual = runs("long", IP_COOLDOWN_PERIOD="60"), runs("usual")
        world = World(usual=body(1, freed_ago=40.0), time=1_787_220_105.0)
        found = world.cycle(long, usual)
        assert [it.enis[0].cooldown for it in found if it is not None] == [1, 0]

    @pytest.mark.parametrize("failed", [LATE, FetchFailed(Reason.INCOMPLETE)], ids=["late", "cut"])
    def test_may_once_be_late_or_cut_off(self, failed: FetchFailed) -> None:
        world = World(answers={"a": body(9)})
        world.cycle(A)
        for _ in range(3):
            world.now += 30
            world.answers["a"] = failed
            assert world.cycle(A) == [books(9, carried=True)]
            world.now += 30
            world.answers["a"] = body(9)
            assert world.cycle(A) == [books(9)]

    def test_that_is_late_twice_is_put_off(self) -> None:
        world = World(answers={"a": body(9)})
        world.cycle(A)
        world.answers["a"] = LATE
        world.now += 30
        assert world.cycles(A, count=5, every=30.0) == [1, 1, 0, 0, 0]

    @pytest.mark.parametrize("failed", [REFUSED, RUBBISH], ids=["refuses", "says rubbish"])
    def test_that_does_otherwise_is_put_off(self, failed: FetchFailed) -> None:
        world = World(answers={"a": body(9)})
        world.cycle(A)
        world.answers["a"] = failed
        world.now += 30
        assert world.cycles(A, count=4, every=30.0) == [1, 0, 0, 0]

    def test_stands_by_its_books_for_three_intervals_and_no_longer(self) -> None:
        world = World(answers={"a": body(9)})
        world.cycle(A)
        world.answers["a"] = REFUSED
        world.now += 30.0
        assert world.cycle(A) == [books(9, carried=True)]
        world.now += 60.0
        assert world.cycle(A) == [books(9, carried=True)]
        world.now += 0.1
        assert world.cycle(A) == [None]

    def test_that_is_asked_in_every_cycle_has_books_of_that_cycle_or_none(self) -> None:
        world = World(replace(CONFIG, interval=0.0), answers={"a": body(9)})
        world.cycle(A)
        world.now += 0.05
        world.answers["a"] = REFUSED
        assert world.cycle(A) == [None]


def spread(uid: str) -> float:
    """For how long a node is put off at first."""
    return 600.0 * (1 + crc32(uid.encode()) / 2**32)


class TestANodeThatDoesNotAnswer:
    @pytest.mark.parametrize("failed", [REFUSED, LATE, RUBBISH], ids=["refused", "late", "rubbish"])
    def test_is_put_off_at_first_for_up_to_twenty_minutes_and_then_for_ten(
        self, failed: FetchFailed
    ) -> None:
        world = World(usual=failed)
        begun = world.now
        requests = world.cycles(A, count=150, every=30.0)
        times = [30.0 * cycle for cycle, count in enumerate(requests) if count]
        first = 30.0 * -(-spread("a") // 30)
        assert times == [0.0, *(first + 600.0 * n for n in range(len(times) - 1))]
        assert len(times) >= 6
        assert world.now == begun + 150 * 30

    def test_is_put_off_for_another_time_than_others(self) -> None:
        nodes = [runs(f"uid-{number}") for number in range(1_000)]
        world = World()
        requests = world.cycles(*nodes, count=60, every=30.0)
        assert requests[:20] == [1_000] + [0] * 19
        assert sum(requests[20:41]) == 1_000
        assert max(requests[20:41]) < 100
        assert max(requests[41:]) < 100

    def test_is_asked_at_once_as_another_pod(self) -> None:
        world = World()
        world.cycle(A)
        world.now += 30
        world.answers["new"] = body(9)
        assert world.cycle(runs("new")) == [books(9)]

    def test_that_answers_later_is_one_that_answers(self) -> None:
        world = World()
        world.cycle(A)
        world.now += 1_200
        world.answers["a"] = body(9)
        assert world.cycle(A) == [books(9)]
        world.now += 30
        world.answers["a"] = LATE
        assert world.cycle(A) == [books(9, carried=True)]
        world.now += 30
        world.answers["a"] = body(12)
        assert world.cycle(A) == [books(12)]

    def test_is_given_up_where_its_fetch_keeps_no_time(self) -> None:
        world = World(answers={"a": body(9)}, seconds={"a": LONG})
        assert world.cycle(A) == [None]
        assert world.cycles(A, count=2, every=30.0) == [0, 0]

    def test_is_forgotten_with_its_pod(self) -> None:
        world = World(answers={"a": body(9)})
        world.cycle(A, runs("b"))
        world.introspections.begin((Target(node()), runs("c")))
        assert world.introspections.known_pods == 0
        assert world.cycle(A) == [books(9)]


ANSWERS = st.sampled_from((body(9), body(9), body(9), LATE, REFUSED, RUBBISH))


@given(
    interval=st.sampled_from((0.0, 5.0, 30.0)),
    cycles=st.lists(st.tuples(st.floats(0.05, 400.0), ANSWERS), min_size=1, max_size=40),
)
def test_whatever_a_node_answers_it_is_asked_sparingly_and_its_books_are_not_old(
    interval: float, cycles: list[tuple[float, bytes | FetchFailed]]
) -> None:
    world = World(replace(CONFIG, interval=interval))
    asked: list[tuple[float, bytes | FetchFailed]] = []
    for later, answer in cycles:
        world.now += later
        world.time += later
        world.answers["a"] = answer
        before = len(world.asked)
        (found,) = world.cycle(A)
        if len(world.asked) > before:
            asked.append((world.now, answer))
        fresh = asked[-1:] == [(world.now, body(9))]
        assert found is None or found.carried is not fresh
        assert found is not None or not fresh
        if found is not None:
            assert world.time - found.time <= 3 * interval + 1e-6
    for (then, said), (now, _) in pairwise(asked):
        assert now - then >= 0.99 * interval - 1e-6
        if said in (REFUSED, RUBBISH):
            assert now - then >= 600.0 - 1e-6


class TestNoNodeIsAsked:
    @pytest.mark.parametrize(
        "env",
        [
            {"DISABLE_INTROSPECTION": "true"},
            {"DISABLE_INTROSPECTION": "1"},
            {"INTROSPECTION_BIND_ADDRESS": "unix:/var/run/aws-node/introspection.sock"},
        ],
    )
    def test_that_has_no_introspection_to_ask(self, env: dict[str, str]) -> None:
        world = World(usual=body(9))
        assert world.cycle(runs("a", **env)) == [None]
        assert (world.asked, world.introspections.known_pods) == ([], 0)

    def test_whose_answer_could_not_be_waited_for(self) -> None:
        world = World(usual=body(9))
        assert world.cycle(A, time_left=0.99) == [None]
        assert world.asked == []
        assert world.cycle(A, time_left=1.0) == [books(9)]
        world.now += 30
        assert world.cycle(A, time_left=0.5) == [books(9, carried=True)]

    def test_for_the_first_time_while_very_many_keep_silent(self) -> None:
        silent = [runs(f"silent-{number}") for number in range(50)]
        good, new = runs("good"), runs("new")
        world = World(seconds={it.pod.uid: 0.5 for it in silent if it.pod}, usual=LATE)
        world.answers |= {"good": body(9), "new": body(9)}
        world.cycle(good)
        world.now += 30

        async def visit(where: Target, after: float) -> Introspection | None:
            await asyncio.sleep(after)
            return await world.introspections.of(where, until(LONG))

        async def all_of_it() -> list[Introspection | None]:
            world.introspections.begin((*silent, good, new))
            begun = [asyncio.create_task(visit(it, 0.0)) for it in silent]
            found = await asyncio.gather(
                # Not long enough yet to tell that they are silent; then long enough; then over.
                visit(runs("early"), 0.09),
                visit(new, 0.2),
                visit(good, 0.2),
                visit(runs("late"), 0.6),
            )
            await asyncio.gather(*begun)
            return list(found)

        with asyncio.Runner(loop_factory=FakeTime) as runner:
            found = runner.run(all_of_it())
        assert found == [None, None, books(9), None]
        names = [name for name, _ in world.asked if not name.startswith("silent")]
        assert names == ["good", "early", "good", "late"]


@pytest.mark.parametrize(
    ("env", "port"),
    [
        pytest.param({}, 61_000, id="as usual"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": "0.0.0.0:61680"}, 61_680, id="another port"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": ":61680"}, 61_680, id="on all addresses"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": "[::]:61680"}, 61_680, id="IPv6"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": "0.0.0.0:61679"}, 61_000, id="the default"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": "0.0.0.0:0"}, 61_000, id="no port"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": "0.0.0.0:65536"}, 61_000, id="beyond ports"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": "0.0.0.0"}, 61_000, id="without a port"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": "fe80::1"}, 61_000, id="no brackets"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": "host:"}, 61_000, id="an empty port"),
        pytest.param({"INTROSPECTION_BIND_ADDRESS": "unix:/sock"}, None, id="a socket"),
        pytest.param({"DISABLE_INTROSPECTION": "T"}, None, id="off"),
        pytest.param({"DISABLE_INTROSPECTION": "maybe"}, 61_000, id="off by no word of Go's"),
        pytest.param(
            {"DISABLE_INTROSPECTION": "true", "INTROSPECTION_BIND_ADDRESS": ":61680"},
            None,
            id="off though it has an address",
        ),
    ],
)
def test_the_pods_settings_say_where_its_introspection_is(
    env: dict[str, str], port: int | None
) -> None:
    assert port_of(pod(env=env), 61_000) == port


def test_a_node_is_asked_where_its_pod_says() -> None:
    world = World(usual=body(9))
    world.cycle(runs("a", INTROSPECTION_BIND_ADDRESS="0.0.0.0:61680"))
    assert world.asked == [("a", replace(PLACE, port=61_680))]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 30.0),
        ("0", 0.0),
        ("120", 120.0),
        ("-1", 30.0),
        ("1.5", 30.0),
        ("soon", 30.0),
        ("٣", 30.0),
        ("9" * 10, 30.0),
    ],
)
def test_the_cooldown_is_the_pods_setting_if_that_is_a_number(text: str, seconds: float) -> None:
    assert cooldown_seconds(pod(env={"IP_COOLDOWN_PERIOD": text})) == seconds


class TestTheEniConfig:
    def test_is_asked_for_with_custom_networking_alone(self) -> None:
        world = World(usual=body(9), answers={"c eniconfig": b'"pods-a"'})
        assert world.cycle(A, runs("c", **CUSTOM)) == [books(9), books(9, eniconfig="pods-a")]
        assert sorted(world.asked, key=lambda it: it[0]) == [
            ("a", PLACE),
            ("c", PLACE),
            ("c", ENICONFIG),
        ]

    def test_is_asked_for_every_ten_minutes_and_kept_in_between(self) -> None:
        world = World(usual=body(9), answers={"c eniconfig": b'"pods-a"'})
        where = runs("c", **CUSTOM)
        assert world.cycles(where, count=20, every=30.0) == [2] + [1] * 19
        world.answers["c eniconfig"] = b'"pods-b"'
        world.now -= 10
        assert world.cycle(where) == [books(9, eniconfig="pods-a", carried=True)]
        world.now += 10
        assert world.cycle(where) == [books(9, eniconfig="pods-b")]

    @pytest.mark.parametrize(
        "answer",
        [FetchFailed(Reason.HTTP_STATUS, "status 404"), b'{"AvailableCommands":[]}', LATE],
        ids=["node not found", "no such path", "late"],
    )
    def test_that_is_not_told_costs_nothing_else(self, answer: bytes | FetchFailed) -> None:
        world = World(usual=body(9), answers={"c eniconfig": answer})
        where = runs("c", **CUSTOM)
        assert world.cycle(where) == [books(9)]
        assert world.cycles(where, count=3, every=30.0) == [0, 1, 1]

    def test_that_is_told_no_longer_is_not_known(self) -> None:
        world = World(usual=body(9), answers={"c eniconfig": b'"pods-a"'})
        where = runs("c", **CUSTOM)
        world.cycle(where)
        world.answers["c eniconfig"] = LATE
        world.now += 600
        assert world.cycle(where) == [books(9)]

    def test_waits_for_a_cycle_with_time_for_it(self) -> None:
        world = World(usual=body(9), answers={"c eniconfig": b'"pods-a"'}, seconds={"c": 0.5})
        where = runs("c", **CUSTOM)
        assert world.cycle(where, time_left=1.4) == [books(9)]
        world.now += 30
        assert world.cycle(where, time_left=1.6) == [books(9, eniconfig="pods-a")]

    def test_is_not_asked_for_where_the_enis_are_not_told(self) -> None:
        world = World()
        world.cycle(runs("c", **CUSTOM))
        assert world.asked == [("c", PLACE)]


class TestTheLog:
    @staticmethod
    def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
        found = [
            (record.getMessage(), getattr(record, "node", ""), getattr(record, "reason", ""))
            for record in caplog.records
        ]
        caplog.clear()
        return found

    def test_says_once_of_a_node_that_its_answer_is_no_use(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        world = World(usual=RUBBISH)
        line = ("introspection of node is no use: not HTTP", "node-a", "malformed")
        world.cycles(A, count=100, every=30.0)
        assert self.told(caplog) == [line]
        world.answers["a"] = b"{}"
        world.cycles(A, count=30, every=30.0)
        assert [reason for _, _, reason in self.told(caplog)] == ["malformed"]
        world.answers["a"] = body(9)
        world.cycles(A, count=30, every=30.0)
        world.answers["a"] = RUBBISH
        world.cycles(A, count=30, every=30.0)
        assert self.told(caplog) == [line]

    @pytest.mark.parametrize("failed", [REFUSED, LATE], ids=["refused", "late"])
    def test_says_nothing_of_a_node_that_does_not_answer(
        self, failed: FetchFailed, caplog: pytest.LogCaptureFixture
    ) -> None:
        World(usual=failed).cycles(A, count=100, every=30.0)
        assert self.told(caplog) == []

    def test_names_some_of_many(self, caplog: pytest.LogCaptureFixture) -> None:
        nodes = [runs(f"uid-{number}") for number in range(23)]
        world = World(usual=RUBBISH)
        world.cycle(*nodes)
        assert len(self.told(caplog)) == 20
        world.cycle(*nodes)
        assert self.told(caplog) == [("introspection of 3 more nodes is no use", "", "")]
        world.cycle(*nodes)
        assert self.told(caplog) == []
