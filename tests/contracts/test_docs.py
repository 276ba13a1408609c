from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter import __version__
from exporter.reference import metrics_page, settings_page

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "page"),
    [
        pytest.param("METRICS.md", metrics_page(), id="metrics"),
        pytest.param("SETTINGS.md", settings_page(), id="settings"),
    ],
)
def test_the_generated_pages_are_as_make_docs_writes_them(name: str, page: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == page


def test_the_changelog_has_a_section_for_what_is_here() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"(?m)^## \[(.+?)\]", changelog)[0]
    assert newest in ("Unreleased", __version__)
