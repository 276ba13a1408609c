from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Mapping

import bcrypt
import pytest

from exporter.outputs.guard.limits import Busy
from exporter.outputs.guard.passwords import Passwords


def hashed(password: bytes, rounds: int = 4) -> bytes:
    return bcrypt.hashpw(password, bcrypt.gensalt(rounds))


USERS = {"alice": hashed(b"open sesame"), "bob": hashed(b"x" * 72)}


class Noted:
    """bcrypt, and what it was asked, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes]] = []

    def __call__(self, password: bytes, digest: bytes) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        self.asked.append((password, digest))
        return bcrypt.checkpw(password, digest)


async def _no_rest(seconds: float) -> None:
    await asyncio.sleep(0)


async def ask(
    passwords: Passwords, name: str, password: bytes, users: Mapping[str, bytes] = USERS
) -> bool:
    return await passwords.right(users, name, password, remote="10.0.0.1")


@pytest.mark.parametrize(
    ("name", "password", "right"),
    [
        pytest.param("alice", b"open sesame", True, id="right"),
        pytest.param("alice", b"open sesam", False, id="wrong"),
        pytest.param("alice", b"", False, id="empty"),
        pytest.param("alice", b"open sesame\0", False, id="with a zero byte"),
        pytest.param("bob", b"open sesame", False, id="another's"),
        pytest.param("carol", b"open sesame", False, id="of nobody"),
        pytest.param("", b"open sesame", False, id="of no name"),
        pytest.param("bob", b"x" * 72, True, id="as long as bcrypt looks"),
        pytest.param("bob", b"x" * 80, True, id="longer, which bcrypt does not see"),
        pytest.param("bob", b"x" * 71, False, id="a little too short"),
    ],
)
def test_a_password_is_right_or_wrong(name: str, password: bytes, right: bool) -> None:
    assert asyncio.run(ask(Passwords(_no_rest), name, password)) is right


@pytest.mark.parametrize("kind", [b"$2a$", b"$2b$", b"$2y$"])
def test_the_hashes_of_htpasswd_and_others_are_known(kind: bytes) -> None:
    users = {"alice": hashed(b"open sesame").replace(b"$2b$", kind)}
    assert asyncio.run(ask(Passwords(_no_rest), "alice", b"open sesame", users))


def test_the_same_is_not_checked_twice_whatever_came_of_it() -> None:
    noted = Noted()

    async def scenario() -> list[bool]:
        passwords = Passwords(_no_rest, noted)
        asked = [("alice", b"open sesame"), ("alice", b"wrong"), ("carol", b"wrong")] * 3
        return [await ask(passwords, *it) for it in asked]

    assert asyncio.run(scenario()) == [True, False, False] * 3
    assert [password for password, _ in noted.asked] == [b"open sesame", b"wrong", b"wrong"]


def test_two_who_ask_the_same_at_a_time_wait_for_one_check() -> None:
    noted = Noted()

    async def scenario() -> list[bool]:
        passwords = Passwords(_no_rest, noted)
        return await asyncio.gather(*(ask(passwords, "alice", b"open sesame") for _ in range(5)))

    assert asyncio.run(scenario()) == [True] * 5
    assert len(noted.asked) == 1


def test_a_user_with_a_new_hash_is_checked_anew_and_one_who_left_is_nobody() -> None:
    async def scenario() -> list[bool]:
        passwords = Passwords(_no_rest)
        users = [USERS, {**USERS, "alice": hashed(b"new")}, {"bob": USERS["bob"]}]
        return [await ask(passwords, "alice", b"open sesame", it) for it in users]

    assert asyncio.run(scenario()) == [True, False, False]


def test_a_name_that_nobody_has_is_checked_at_the_cost_of_somebody_always_the_same() -> None:
    noted = Noted()
    users = {f"user-{rounds}": hashed(b"secret", rounds) for rounds in (4, 5, 6)}

    async def scenario() -> None:
        passwords = Passwords(_no_rest, noted)
        for number in range(60):
            for attempt in (b"secret", b"other"):
                assert not await ask(passwords, f"nobody-{number}", attempt, users)

    asyncio.run(scenario())
    pairs = list(zip(noted.asked[::2], noted.asked[1::2], strict=True))
    assert all(one[1] == other[1] for one, other in pairs)
    # So a name that answers quickly may be a cheap user's, or nobody's.
    assert {digest for _, digest in noted.asked} == set(users.values())


def test_a_wrong_password_holds_its_turn_as_long_again_as_its_check_took() -> None:
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    async def scenario() -> tuple[float, float]:
        passwords = Passwords(rest)
        begun = time.monotonic()
        await ask(passwords, "alice", b"wrong")
        took = time.monotonic() - begun
        await ask(passwords, "alice", b"open sesame")
        return took, rests[0]

    took, rested = asyncio.run(scenario())
    assert len(rests) == 1
    assert 0 < rested <= took


def test_a_flood_of_wrong_passwords_leaves_the_loop_alone_and_pushes_nobody_out() -> None:
    users = {"prometheus": hashed(b"right", 6)}

    async def scenario() -> Counter[str]:
        passwords = Passwords()
        assert await passwords.right(users, "prometheus", b"right", remote="10.0.0.1")
        ended: Counter[str] = Counter()

        async def attack(number: int) -> None:
            remote = f"10.9.0.{number % 20}"
            try:
                wrong = await passwords.right(users, "prometheus", b"%d" % number, remote=remote)
                ended["right" if wrong else "wrong"] += 1
            except Busy:
                ended["refused"] += 1

        flood = [asyncio.create_task(attack(number)) for number in range(400)]
        await asyncio.sleep(0)
        assert await passwords.right(users, "prometheus", b"right", remote="10.0.0.1")
        assert "wrong" not in ended  # It was remembered, and waited for none of them.
        await asyncio.gather(*flood)
        return ended

    assert asyncio.run(scenario()) == {"wrong": 64, "refused": 336}


def test_one_address_has_a_few_turns_only_so_that_others_get_theirs() -> None:
    async def scenario() -> tuple[int, bool]:
        passwords, refused = Passwords(_no_rest), 0

        async def attack(number: int) -> None:
            nonlocal refused
            try:
                await passwords.right(USERS, "alice", b"%d" % number, remote="10.9.0.9")
            except Busy:
                refused += 1

        flood = [asyncio.create_task(attack(number)) for number in range(100)]
        await asyncio.sleep(0)
        right = await passwords.right(USERS, "alice", b"open sesame", remote="10.0.0.1")
        await asyncio.gather(*flood)
        return refused, right

    assert asyncio.run(scenario()) == (92, True)


def test_nothing_is_remembered_in_the_clear() -> None:
    passwords = Passwords(_no_rest)
    asyncio.run(ask(passwords, "alice", b"open sesame"))
    asyncio.run(ask(passwords, "alice", b"wrong guess"))
    kept = repr(vars(passwords))
    assert "sesame" not in kept
    assert "guess" not in kept
    assert "alice" not in kept
