"""What page and books of one node come to, together and each alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.figures import Figures, assigned_by_eni, difference, figures
from exporter.core.introspection import Introspection, IpamdEni
from exporter.core.model import IpMode, Reading, Target
from tests.builders import books, held, node, pod, reading, target

SLASH_80 = 2**48
MULTI_NIC = {"ENABLE_MULTI_NIC": "true"}
IPV6 = {"ENABLE_IPv6": "true"}
CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true"}


def runs(env: Mapping[str, str] | None = None) -> Target:
    return target(node(), pod(env=env))


PLAIN = runs()
ONE = held("eni-1", primary=True, attached=9, assigned=4, cooldown=1)
TWO = held("eni-2", device=1, attached=9, assigned=2, cooldown=3)


def test_without_books_the_page_is_all_there_is() -> None:
    what = reading(assigned=5, attached=18, enis=2, prefixes=0)
    assert figures(what, PLAIN) == Figures(
        mode=IpMode.SECONDARY, assigned=5, attached=18, enis=2, prefixes=0
    )


def test_books_overrule_the_page_in_everything_they_tell() -> None:
    what = reading(assigned=1, attached=2, enis=1, prefixes=7, introspection=books(ONE, TWO))
    assert figures(what, PLAIN) == Figures(
        mode=IpMode.SECONDARY,
        assigned=6,
        attached=18,
        cooldown=4,
        enis=2,
        prefixes=0,
        introspected=True,
    )


def test_of_several_network_cards_books_tell_what_the_page_cannot() -> None:
    what = reading(assigned=1, attached=1, enis=1, assigned_by_eni=(("eni-1", 4), ("eni-2", 2)))
    card = replace(TWO, card=1)
    where = runs(MULTI_NIC)
    assert figures(what, where) == Figures(mode=IpMode.SECONDARY, assigned=6)
    assert figures(replace(what, introspection=books(ONE, card)), where) == Figures(
        mode=IpMode.SECONDARY,
        assigned=6,
        attached=18,
        cooldown=4,
        enis=2,
        prefixes=0,
        introspected=True,
    )


def test_of_an_ipv6_node_books_tell_assigned_addresses_enis_and_prefixes_alone() -> None:
    what = reading(
        assigned=1,
        attached=SLASH_80,
        introspection=books(held(attached=2 * SLASH_80, assigned=7, cooldown=2)),
    )
    for where in (PLAIN, runs(IPV6)):
        assert figures(what, where) == Figures(
            mode=IpMode.IPV6, assigned=7, enis=1, prefixes=2, introspected=True
        )


@pytest.mark.parametrize(
    ("enis", "env", "mode"),
    [
        pytest.param((held(),), {}, IpMode.SECONDARY, id="addresses one by one"),
        pytest.param((held(),), PREFIXES, IpMode.SECONDARY, id="prefixes wanted, none held yet"),
        pytest.param((held(attached=32, prefixes=2),), {}, IpMode.PREFIX, id="all in prefixes"),
        pytest.param((held(attached=33, prefixes=2),), {}, IpMode.MIXED, id="a leftover address"),
        pytest.param(
            (held(attached=16, prefixes=1), held("eni-2")), {}, IpMode.MIXED, id="on two ENIs"
        ),
        pytest.param((), {}, IpMode.SECONDARY, id="nothing held"),
        pytest.param((), PREFIXES, IpMode.PREFIX, id="nothing held, prefixes wanted"),
        pytest.param((), IPV6, IpMode.IPV6, id="nothing held, IPv6 wanted"),
        pytest.param((held(attached=SLASH_80),), {}, IpMode.IPV6, id="one /80"),
    ],
)
def test_the_ip_mode_is_what_the_books_hold_and_for_empty_ones_what_is_wanted(
    enis: tuple[IpamdEni, ...], env: Mapping[str, str], mode: IpMode
) -> None:
    # The page says otherwise throughout.
    what = reading(attached=20, prefixes=1, introspection=books(*enis, carried=False))
    empty = [replace(eni, assigned=0, cooldown=0) for eni in enis]
    what = replace(what, introspection=books(*empty))
    assert figures(what, runs(env)).mode is mode


EXCLUDED = replace(TWO, excluded=True)


@pytest.mark.parametrize(
    ("enis", "env", "excluded"),
    [
        pytest.param((ONE, TWO), {}, 0, id="none"),
        pytest.param((ONE, EXCLUDED), {}, 1, id="one"),
        pytest.param((replace(ONE, excluded=True), EXCLUDED), {}, 2, id="the primary too"),
        pytest.param(
            (replace(ONE, excluded=True), EXCLUDED),
            CUSTOM,
            1,
            id="the primary has no pods under custom networking anyway",
        ),
        pytest.param((ONE, replace(EXCLUDED, trunk=True)), {}, 0, id="a trunk has none either"),
    ],
)
def test_excluded_are_the_enis_that_pods_could_have_had_addresses_of(
    enis: tuple[IpamdEni, ...], env: Mapping[str, str], excluded: int
) -> None:
    assert figures(reading(introspection=books(*enis)), runs(env)).excluded == excluded


CARRIED = books(ONE, TWO, carried=True)


@pytest.mark.parametrize(
    ("assigned", "cooldown"),
    [
        pytest.param(6, 4, id="as before"),
        pytest.param(0, 4, id="all pods are gone"),
        pytest.param(15, 3, id="pods had to take what was in cooldown"),
        pytest.param(18, 0, id="pods have all"),
    ],
)
def test_with_books_of_an_earlier_cycle_the_page_says_what_is_assigned(
    assigned: int, cooldown: int
) -> None:
    found = figures(reading(assigned=assigned, attached=40, introspection=CARRIED), PLAIN)
    assert (found.assigned, found.attached, found.cooldown) == (assigned, 18, cooldown)
    assert found.introspected


def test_with_several_cards_the_pages_series_per_eni_say_what_is_assigned() -> None:
    what = reading(assigned=1, assigned_by_eni=(("eni-1", 5), ("eni-2", 3)), introspection=CARRIED)
    assert figures(what, runs(MULTI_NIC)).assigned == 8


def test_books_that_pods_have_overtaken_stand_no_longer() -> None:
    what = reading(assigned=19, attached=27, enis=3, introspection=CARRIED)
    assert figures(what, PLAIN) == figures(replace(what, introspection=None), PLAIN)
    # Those of the same cycle are right, whatever the page says.
    fresh = replace(CARRIED, carried=False)
    assert figures(replace(what, introspection=fresh), PLAIN).assigned == 6


class TestTheDifference:
    def test_is_what_the_books_hold_more_than_the_page_says(self) -> None:
        assert difference(reading(attached=15, introspection=books(ONE, TWO)), PLAIN) == 3
        assert difference(reading(attached=20, introspection=books(ONE, TWO)), PLAIN) == -2

    @pytest.mark.parametrize(
        ("said", "where"),
        [
            pytest.param(None, PLAIN, id="without books"),
            pytest.param(CARRIED, PLAIN, id="with books of another cycle"),
            pytest.param(books(ONE, TWO), runs(MULTI_NIC), id="with several network cards"),
            pytest.param(books(ONE), runs(IPV6), id="in IPv6 mode"),
            pytest.param(books(held(attached=SLASH_80)), PLAIN, id="with a /80"),
        ],
    )
    def test_is_not_known(self, said: Introspection | None, where: Target) -> None:
        assert difference(reading(introspection=said), where) is None


BY_ENI = (("eni-1", 9), ("eni-3", 0))


@pytest.mark.parametrize(
    ("what", "by_eni"),
    [
        pytest.param(reading(), (), id="neither tells"),
        pytest.param(reading(assigned_by_eni=BY_ENI), BY_ENI, id="the page alone"),
        pytest.param(
            reading(assigned_by_eni=BY_ENI, introspection=books(ONE, TWO)),
            (("eni-1", 4), ("eni-2", 2)),
            id="both",
        ),
        pytest.param(
            reading(assigned_by_eni=BY_ENI, introspection=CARRIED), BY_ENI, id="earlier books"
        ),
        pytest.param(
            reading(introspection=CARRIED),
            (("eni-1", 4), ("eni-2", 2)),
            id="earlier books beside the page of an old release",
        ),
    ],
)
def test_what_is_assigned_by_eni_is_told_by_the_later_of_page_and_books(
    what: Reading, by_eni: tuple[tuple[str, int], ...]
) -> None:
    assert assigned_by_eni(what) == by_eni


def test_what_an_eni_has_left_is_warm() -> None:
    assert (ONE.warm, TWO.warm, held().warm) == (4, 4, 5)


@st.composite
def enis(draw: st.DrawFn, id: str) -> IpamdEni:
    """An ENI as a decoder gives it: no more assigned and cooling than attached."""
    prefixes = draw(st.integers(0, 3))
    attached = 16 * prefixes + draw(st.integers(0, 20)) + draw(st.sampled_from((0, 0, SLASH_80)))
    assigned = draw(st.integers(0, min(attached, 50)))
    return IpamdEni(
        id=id,
        primary=draw(st.booleans()),
        trunk=draw(st.booleans()),
        excluded=draw(st.booleans()),
        attached=attached,
        assigned=assigned,
        cooldown=draw(st.integers(0, min(attached - assigned, 50))),
        prefixes=prefixes,
    )


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    said = tuple(draw(enis(f"eni-{number}")) for number in range(draw(st.integers(0, 3))))
    assigned = draw(st.integers(0, 60))
    return reading(
        assigned=assigned,
        attached=assigned + draw(st.integers(0, 60)),
        assigned_by_eni=(("eni-0", draw(st.integers(0, 60))),),
        introspection=books(*said, carried=draw(st.booleans())),
    )


ENVS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys([*MULTI_NIC, *IPV6, *CUSTOM, *PREFIXES], st.just("true"))
)


@given(readings(), ENVS)
def test_whatever_is_read_no_figure_is_negative_and_the_states_fit_what_is_attached(
    what: Reading, env: dict[str, str]
) -> None:
    found = figures(what, runs(env))
    told = (found.assigned, found.attached, found.cooldown, found.enis, found.prefixes)
    assert all(it is None or it >= 0 for it in told)
    assert found.mode is not IpMode.UNKNOWN
    if found.attached is not None:
        assert found.assigned + (found.cooldown or 0) <= found.attached
    assert (found.cooldown is None) is (not found.introspected or found.mode is IpMode.IPV6)


@given(readings(), ENVS)
def test_books_of_the_same_cycle_are_counted_as_they_are(
    what: Reading, env: dict[str, str]
) -> None:
    said = what.introspection
    assert said is not None
    fresh = replace(said, carried=False)
    found = figures(replace(what, introspection=fresh), runs(env))
    assert found.assigned == sum(eni.assigned for eni in said.enis)
    assert found.enis == len(said.enis)
    if found.mode is not IpMode.IPV6:
        assert found.attached == sum(eni.attached for eni in said.enis)
        assert found.cooldown == sum(eni.cooldown for eni in said.enis)
        assert found.attached - found.assigned - found.cooldown == sum(it.warm for it in said.enis)
