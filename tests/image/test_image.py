"""The image, built from the real Dockerfile on a small Debian, and run as Kubernetes would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from exporter import __version__
from exporter.core.health import AWS_OPERATIONS
from tests.e2e.test_subnets import survey_after
from tests.e2e.world import (
    clean_environment,
    differences,
    eventually,
    expected,
    free_port,
    key,
    published,
    request,
    simulation,
)
from tests.image.built import (
    APP,
    DOCKERFILE,
    MEGABYTE,
    ROOT,
    Image,
    exporting,
    first_process,
    running,
)
from tests.parts import part

pytestmark = pytest.mark.real


def test_hadolint_is_content_with_the_dockerfile() -> None:
    done = subprocess.run(
        [part("hadolint"), "--failure-threshold", "ignore", str(DOCKERFILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "hadolint ignore" not in DOCKERFILE.read_text()


def test_the_image_says_what_it_is_and_runs_as_nobody(image: Image) -> None:
    labels = image.config["Labels"]
    assert {name: value for name, value in labels.items() if name.startswith("org.")} == {
        "org.opencontainers.image.title": "vpc-cni-exporter",
        "org.opencontainers.image.description": (
            "Prometheus exporter for the pod IP addresses of Amazon EKS"
        ),
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.revision": "abc",
        "org.opencontainers.image.created": "",
    }
    assert image.config["User"] == "65532:65532"
    assert image.config["Entrypoint"] == [f"{APP}/bin/vpc-cni-exporter"]
    assert image.config["ExposedPorts"] == {"61681/tcp": {}}
    assert "Cmd" not in image.config


def test_the_base_of_the_test_has_the_python_and_the_debian_of_the_default(image: Image) -> None:
    python, suite = re.findall(
        r"(?m)^ARG BASE=\S+/python:([\d.]+)-slim-(\w+)$", DOCKERFILE.read_text()
    )[0]
    assert (image.files / f"usr/bin/python{python}").exists()
    assert f"VERSION_CODENAME={suite}" in (image.files / "etc/os-release").read_text()


def test_the_image_is_as_small_above_its_base_as_the_documents_say(image: Image) -> None:
    stated = re.findall(r"(\d+) MB above its base", (ROOT / "docs" / "INSTALL.md").read_text())
    above = (image.size - image.base_size) / MEGABYTE
    assert stated == [str(int(stated[0]))]
    assert above == pytest.approx(int(stated[0]), rel=0.1)
    assert not list((image.files / APP[1:]).rglob("pip"))
    assert not (image.files / "src").exists()


def test_the_image_has_what_is_asked_of_aws(image: Image) -> None:
    (data,) = (image.files / APP[1:]).glob("lib/python*/site-packages/botocore/data")
    described = {folder.name for folder in data.iterdir() if folder.is_dir()}
    assert described == {"signin", "sso", "sso-oidc", "sts", *(it for it, _ in AWS_OPERATIONS)}


def test_every_module_of_the_exporter_can_be_imported_in_the_image(
    image: Image, tmp_path: Path
) -> None:
    program = (
        "import importlib, pkgutil, exporter\n"
        "names = [it.name for it in pkgutil.walk_packages(exporter.__path__, 'exporter.')]\n"
        "print(len([importlib.import_module(it) for it in names if 'main__' not in it]))\n"
    )
    done = subprocess.run(
        image.command(tmp_path, f"{APP}/bin/python", "-c", program),
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    modules = {it for it in (ROOT / "exporter").rglob("*.py") if it.name != "__main__.py"}
    # The package itself is not among those within it.
    assert (done.stdout, done.stderr) == (f"{len(modules) - 1}\n", "")


def test_the_entry_point_runs_the_demonstration_and_answers_metrics(
    image: Image, tmp_path: Path
) -> None:
    port = free_port()
    options = ("demo", "--duration", "10", "--nodes", "8", "--faults", "0", "--port", str(port))
    command = [*image.config["Entrypoint"], *options]
    with running(image, tmp_path, command, {"TMPFS": "yes"}) as process:

        def read() -> float | None:
            try:
                _, text = request(f"http://127.0.0.1:{port}/metrics")
            except OSError:
                return None
            found = re.search(r'(?m)^vpc_cni_cluster_nodes\{state="read"\} (\d+)$', text)
            return float(found[1]) if found else None

        assert eventually(read, "the demonstration has figures") == 8
        assert process.wait(30) == 0, (tmp_path / "log").read_text()


def test_without_shell_rights_or_anything_to_write_to_every_figure_is_the_truth(
    image: Image, tmp_path: Path
) -> None:
    with (
        simulation(tmp_path, "--living", "--nodes", "12") as sim,
        exporting(image, tmp_path, sim, sim.facts["aws_environment"]) as exporter,
    ):
        samples = survey_after(exporter, sim.truth()["advanced_at"])
        assert differences(expected(sim.truth()), published(samples)) == []
        assert samples[key("vpc_cni_exporter_source_up", source="ec2_enis")] == 1
        # The first process of a container has no handlers but its own.
        os.kill(first_process(exporter.process), signal.SIGTERM)
        assert exporter.process.wait(10) == 0
