import msgspec
import pytest

from exporter.sim.store import Change, Expired, Object, Store, Stored


def everything(_stored: Stored) -> bool:
    return True


def thing(name: str, uid: str = "u", **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": "n", "uid": uid, "labels": labels}}


def filled(*names: str) -> Store:
    store = Store()
    for name in names:
        store.put("things", thing(name), fields={})
    return store


def keys(stored: tuple[Stored, ...]) -> list[str]:
    return [one.key[1] for one in stored]


def test_every_write_gets_the_next_version_and_carries_it() -> None:
    store = filled("a", "b")
    store.put("things", thing("a"), fields={})
    found = store.everything("things", everything)
    versions = [msgspec.json.decode(one.raw)["metadata"]["resourceVersion"] for one in found]
    assert versions == ["1000003", "1000002"]
    assert store.version == 1000003


def test_the_pages_of_a_list_are_of_one_moment_whatever_changes_between_them() -> None:
    store = filled("a", "b", "c", "d", "e")
    first = store.first_page("things", everything, limit=2)
    store.delete("things", ("n", "c"))
    store.put("things", thing("bb"), fields={})
    assert first.token is not None
    second = store.next_page(first.token, limit=2)
    assert second.token is not None
    third = store.next_page(second.token, limit=2)
    pages = (first, second, third)
    assert [keys(page.items) for page in pages] == [["a", "b"], ["c", "d"], ["e"]]
    assert [page.version for page in pages] == [1000005] * 3
    assert [page.remaining for page in pages] == [3, 1, 0]
    assert third.token is None


def test_a_list_that_fits_has_no_token() -> None:
    page = filled("a", "b").first_page("things", everything, limit=2)
    assert (keys(page.items), page.token) == (["a", "b"], None)


@pytest.mark.parametrize("token", ["1.2", "9.0", "nonsense", ""])
def test_a_token_that_is_not_kept_has_expired(token: str) -> None:
    store = filled("a", "b", "c")
    store.first_page("things", everything, limit=1)
    store.compact()
    with pytest.raises(Expired):
        store.next_page(token, limit=1)


def test_a_watch_from_a_version_is_told_exactly_what_changed_since() -> None:
    store = filled("a", "b")
    since = store.version
    store.put("things", thing("a", colour="red"), fields={})
    feed = store.watch("things", since=since)
    store.delete("things", ("n", "b"))
    store.put("others", thing("x"), fields={})
    assert [(c.version, _step(c)) for c in feed.pending] == [
        (1000003, "a changed"),
        (1000004, "b gone"),
    ]


def _step(change: Change) -> str:
    if change.new is None:
        assert change.old is not None
        return f"{change.old.key[1]} gone"
    return f"{change.new.key[1]} {'changed' if change.old else 'new'}"


def test_a_watch_from_no_version_begins_with_all_there_is() -> None:
    feed = filled("b", "a").watch("things", since=None)
    assert [_step(change) for change in feed.pending] == ["a new", "b new"]


def test_an_object_that_comes_again_with_another_uid_was_gone_in_between() -> None:
    store = filled("a")
    feed = store.watch("things", since=store.version)
    store.put("things", thing("a", uid="other"), fields={})
    assert [_step(change) for change in feed.pending] == ["a gone", "a new"]


def test_a_deletion_carries_a_version_of_its_own() -> None:
    store = filled("a")
    feed = store.watch("things", since=store.version)
    store.delete("things", ("n", "a"))
    (change,) = feed.pending
    assert change.old is not None
    assert (change.version, change.old.version) == (1000002, 1000002)


def test_after_a_compaction_every_version_known_so_far_is_too_old() -> None:
    store = filled("a")
    known = store.version
    store.compact()
    with pytest.raises(Expired):
        store.watch("things", since=known)
    assert not store.watch("things", since=store.version).pending


def test_history_is_bounded_and_what_falls_out_of_it_is_too_old() -> None:
    store = Store(history=2)
    for name in "abc":
        store.put("things", thing(name), fields={})
    with pytest.raises(Expired):
        store.watch("things", since=1000000)
    assert len(store.watch("things", since=1000001).pending) == 2


def test_a_watch_that_was_given_up_is_told_nothing_more() -> None:
    store = filled("a")
    feed = store.watch("things", since=store.version)
    store.unwatch(feed)
    store.put("things", thing("b"), fields={})
    assert not feed.pending
