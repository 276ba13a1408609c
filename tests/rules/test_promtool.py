"""promtool accepts the rules and finds them to do what their cases say."""

from __future__ import annotations

import subprocess

import pytest

from tests.parts import part
from tests.rules.rule_file import CASES, FILE, rules

pytestmark = pytest.mark.real


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [part("promtool"), *arguments], capture_output=True, text=True, check=False
    )


def test_the_rules_pass_promtools_check() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(FILE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_every_case_ends_as_it_says() -> None:
    done = promtool("test", "rules", *map(str, CASES))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(CASES)
