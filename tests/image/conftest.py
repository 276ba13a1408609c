"""Builds the image once for all tests of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.built import Buildah, Image
from tests.parts import laid_down


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("image")
    base, buildah = laid_down("base.tar"), Buildah(folder)
    if os.getuid() != 0:
        pytest.skip("containers are run by root here")
    scratch = buildah("from", "scratch")
    buildah("add", "--quiet", scratch, base, "/")
    buildah("commit", "--quiet", scratch, "localhost/base")
    # The certificates of this machine, in case a proxy of its own stands before PyPI.
    certificates = ("--volume", "/etc/ssl/certs:/etc/ssl/certs:ro")
    options = ("--isolation=chroot", "--pull-never", *certificates)
    arguments = ("--build-arg", "BASE=localhost/base", "--build-arg", "REVISION=abc")
    buildah("build", "--quiet", *options, *arguments, "--tag", "localhost/exporter", ".")
    config = json.loads(buildah("inspect", "--type", "image", "localhost/exporter"))
    container = buildah("from", "--pull-never", "localhost/exporter")
    files = Path(buildah("mount", container))
    sizes = buildah.size("localhost/exporter"), buildah.size("localhost/base")
    yield Image(config["OCIv1"]["config"], files, *sizes)
    shutil.rmtree(folder)
