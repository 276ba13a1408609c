from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.eks import (
    ADDON_ISSUES,
    ADDON_STATES,
    ADDONS,
    CLUSTER_ISSUES,
    OTHER,
    counted,
    minor_version,
    newest,
    version_key,
)
from tests.builders import addon

# From the oldest to the newest.
IN_ORDER = [
    "v0.58.0-eksbuild.1",
    "v0.102.1-eksbuild.2",
    "v1.8",
    "v1.8.7-eksbuild.2",
    "v1.8.7-eksbuild.10",
    "v1.9.0",
    "v1.19.2-eksbuild.9",
    "v1.19.2-eksbuild.10",
    "1.19.3",
    "v1.20.0-rc.2-eksbuild.7",
    "v1.20.0-rc.10",
    "v1.20.0-rc.10-eksbuild.1",
    "v1.20.0",
    "v1.20.0-eksbuild.1",
    "v1.20.0-eksbuild.2",
    "v1.20.1-minimal-eksbuild.3",
    "v1.20.1",
    "v2.0.0-eksbuild.1",
]


class TestTheOrderOfVersions:
    @pytest.mark.parametrize(("older", "newer"), [*itertools.combinations(IN_ORDER, 2)])
    def test_is_that_of_numbers(self, older: str, newer: str) -> None:
        first, second = version_key(older), version_key(newer)
        assert first is not None
        assert second is not None
        assert first < second

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "v",
            "latest",
            "v1.x",
            "1..2",
            "v1.2.3+build",
            "v1.2-eksbuild",
            "v1.2-eksbuild.",
            "-1",
        ],
    )
    def test_is_none_for_what_is_no_version(self, text: str) -> None:
        assert version_key(text) is None

    @given(st.permutations(IN_ORDER))
    def test_puts_the_newest_last_however_they_come(self, versions: list[str]) -> None:
        assert newest(versions) == IN_ORDER[-1]
        assert newest([*versions, "latest", ""]) == IN_ORDER[-1]

    @given(st.lists(st.tuples(*[st.integers(0, 300)] * 4), min_size=1))
    def test_is_that_of_all_numbers_of_versions_of_one_form(
        self, numbers: list[tuple[int, ...]]
    ) -> None:
        said = [f"v{a}.{b}.{c}-eksbuild.{d}" for a, b, c, d in numbers]
        found = [int(number) for number in re.findall(r"\d+", newest(said))]
        assert tuple(found) == max(numbers)

    @given(st.text(max_size=20))
    def test_takes_any_text(self, text: str) -> None:
        key = version_key(text)
        assert newest([text]) == ("" if key is None else text)
        prerelease = version_key(f"v1.2.3-{text}")
        assert prerelease is None or prerelease <= (version_key("v1.2.3-eksbuild.999999") or ())

    def test_is_nothing_of_nothing(self) -> None:
        assert newest([]) == ""
        assert newest(["latest"]) == ""


@pytest.mark.parametrize(
    ("version", "latest", "outdated"),
    [
        ("v1.19.2-eksbuild.9", "v1.19.2-eksbuild.10", True),
        ("v1.19.2-eksbuild.10", "v1.19.2-eksbuild.10", False),
        ("v1.20.0-eksbuild.1", "v1.19.2-eksbuild.10", False),
        ("v1.19.2-eksbuild.9", "", None),
        ("custom", "v1.19.2-eksbuild.10", None),
    ],
)
def test_an_addon_is_outdated_where_a_newer_version_is_known(
    version: str, latest: str, outdated: bool | None
) -> None:
    assert addon(version=version, latest=latest).outdated is outdated


@pytest.mark.parametrize(
    ("version", "minor"),
    [
        ("v1.33.4-eks-99d6cc0", "1.33"),
        ("1.33", "1.33"),
        ("v1.9", "1.9"),
        ("1.30+", "1.30"),
        ("", ""),
        ("v1", ""),
        ("master", ""),
    ],
)
def test_eks_goes_by_the_first_two_numbers_of_a_version(version: str, minor: str) -> None:
    assert minor_version(version) == minor


def test_issues_are_counted_by_code_and_the_unknown_are_other() -> None:
    codes = ["AccessDenied", "AccessDenied", "Brandnew", "Other"]
    found = counted(codes, CLUSTER_ISSUES)
    assert {code: n for code, n in found.items() if n} == {"AccessDenied": 2, OTHER: 2}
    assert tuple(found) == CLUSTER_ISSUES
    assert set(counted([], ADDON_ISSUES).values()) == {0}


def test_the_lists_are_closed_and_end_in_other() -> None:
    for codes in (CLUSTER_ISSUES, ADDON_ISSUES, ADDON_STATES):
        assert len(set(codes)) == len(codes)
        assert codes[-1] == OTHER
    assert ADDONS == ("vpc-cni", "coredns", "kube-proxy", "adot")
