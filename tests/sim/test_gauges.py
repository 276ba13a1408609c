"""The gauges that ipamd's datastores write: what they say after an ENI vanished, and by card."""

from __future__ import annotations

from exporter.core.pool import PREFIX, Address, Cidr, Eni, Pool
from exporter.sim.living.gauges import Written


def eni(name: str, *sizes: int, pods: int = 0) -> Eni:
    base = 16 * len(name) * 1000
    cidrs = tuple(
        Cidr(
            base + 16 * number,
            size,
            (Address(base + 16 * number, "pod", 0.0),) if number < pods else (),
        )
        for number, size in enumerate(sizes)
    )
    return Eni(name, cidrs=cidrs)


def started(*enis: Eni) -> Written:
    written = Written()
    written.begin(Pool(enis))
    return written


def test_a_vanished_eni_with_pods_is_taken_off_twice_and_the_gauge_says_so_later() -> None:
    # The example of the reference: 2 ENIs of 3 addresses, of which one vanishes.
    first, second = eni("a", 1, 1, 1), eni("bb", 1, 1, 1, pods=1)
    written, left = started(first, second), Pool((first,))
    written.lost(second, left, twice=True)
    assert (written.total, left.attached - written.missing, left.attached) == (6, 0, 3)
    assert (written.enis, written.assigned) == (1, 0)
    more = Pool((eni("a", 1, 1, 1, 1),))
    written.changed(left, more, first=True)
    assert (written.total, more.attached) == (1, 4)


def test_a_vanished_eni_without_pods_leaves_the_total_right_and_the_gauge_stale() -> None:
    first, second = eni("a", 1, 1, 1), eni("bb", 1, 1, 1)
    written, left = started(first, second), Pool((first,))
    written.lost(second, left, twice=False)
    assert (written.total, written.missing) == (6, 0)
    more = Pool((eni("a", 1, 1, 1, 1),))
    written.changed(left, more, first=True)
    assert written.total == 4


def test_prefixes_are_taken_off_twice_too() -> None:
    first, second = eni("a", PREFIX, PREFIX, 1), eni("bb", PREFIX, pods=1)
    written, left = started(first, second), Pool((first,))
    assert written.prefixes == 3
    written.lost(second, left, twice=True)
    more = Pool((eni("a", PREFIX, PREFIX, 1, PREFIX),))
    written.changed(left, more, first=True)
    assert (written.prefixes, written.total) == (2, 33)


def test_the_card_that_changed_last_speaks_for_all() -> None:
    first, second = Pool((eni("a", 1, 1, 1, pods=2),)), Pool((eni("bb", 1, pods=1),))
    written = started(*first.enis)
    written.begin(second)
    assert (written.enis, written.total, written.assigned) == (1, 1, 1)
    written.changed(first, Pool((eni("a", 1, 1, 1, pods=3),)), first=True)
    assert (written.total, written.assigned) == (1, 3)


def test_a_card_without_enis_writes_nothing_at_the_start() -> None:
    written = started(eni("a", 1, 1))
    written.begin(Pool(()))
    assert (written.enis, written.total) == (1, 2)
