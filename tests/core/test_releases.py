from __future__ import annotations

import pytest

from exporter.core.releases import Release, reached, release


@pytest.mark.parametrize(
    ("version", "found"),
    [
        pytest.param("v1.21.1-eksbuild.3", (1, 21, 1), id="an add-on's tag"),
        pytest.param("v1.9.0", (1, 9, 0), id="a release's tag"),
        pytest.param("1.22.1", (1, 22, 1), id="no v"),
        pytest.param("v1.18", (1, 18, 0), id="no patch"),
        pytest.param("v1.18.x", (1, 18, 0), id="no number for a patch"),
        pytest.param("v1", None, id="no minor"),
        pytest.param("latest", None, id="a name"),
        pytest.param("release-1.18.0", None, id="a name before it"),
        pytest.param("", None, id="nothing"),
        pytest.param("9" * 5000 + ".1.1", None, id="absurd"),
    ],
)
def test_a_version_names_its_release(version: str, found: Release | None) -> None:
    assert release(version) == found


@pytest.mark.parametrize(
    ("version", "since", "does"),
    [
        pytest.param("v1.18.0", (1, 18), True, id="the first of a minor"),
        pytest.param("v1.17.9", (1, 18), False, id="the last before it"),
        pytest.param("v1.22.1", (1, 22, 1), True, id="the very patch"),
        pytest.param("v1.22.0", (1, 22, 1), False, id="the patch before it"),
        pytest.param("v1.9.3", (1, 11), False, id="by number, not by letter"),
        pytest.param("v2.0.0", (1, 22), True, id="a later major"),
        pytest.param("latest", (1, 23), True, id="not told is the newest"),
    ],
)
def test_a_cni_does_what_came_with_its_release_or_before(
    version: str, since: tuple[int, ...], does: bool
) -> None:
    assert reached(version, *since) is does
