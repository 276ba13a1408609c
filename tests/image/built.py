"""The image, built once from the real Dockerfile on a small Debian, and run as Kubernetes would."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.world import Daemon, Simulation, eventually, free_port
from tests.parts import part

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
APP = "/opt/vpc-cni-exporter"
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Image:
    """What was built: its configuration, its files, and how large it and its base are."""

    config: Mapping[str, Any]
    files: Path
    size: int
    base_size: int

    def command(self, given: Path, *arguments: str) -> Sequence[str]:
        """Return what runs a program of the image, given one folder at /mnt."""
        script = str(Path(__file__).with_name("contained.sh"))
        own_namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"]
        return [*own_namespaces, "sh", script, str(self.files), str(given), *arguments]


class Buildah:
    """buildah with a store of its own, and nothing asked of a registry."""

    def __init__(self, folder: Path) -> None:
        store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self._command = [part("buildah"), *store, "--storage-driver", "vfs"]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def size(self, image: str) -> int:
        """Return how many bytes an image's layers have, unpacked."""
        (found,) = json.loads(self("images", "--json", image))
        number, unit = found["size"].split()
        return int(float(number) * {"MB": MEGABYTE, "GB": 1000 * MEGABYTE}[unit])


@contextlib.contextmanager
def running(
    image: Image, given: Path, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of the image until left, its standard error going to `log` in the folder."""
    with (given / "log").open("wb") as log:
        process = subprocess.Popen(
            image.command(given, *command),
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={"HOME": "/", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        )
    try:
        yield process
    finally:
        # It would outlive unshare, whose hold on it ends where it changes its user.
        with contextlib.suppress(OSError, IndexError):
            os.kill(first_process(process), signal.SIGKILL)
        process.kill()
        process.wait(10)


def first_process(process: subprocess.Popen[bytes]) -> int:
    """Return the process that is the container's first."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


@contextlib.contextmanager
def exporting(
    image: Image, folder: Path, sim: Simulation, environment: Mapping[str, str]
) -> Iterator[Daemon]:
    """Run the image's entry point against a simulated cluster, with EC2 read often.

    What is in `given` of the folder is at /mnt, the kubeconfig among it.
    """
    given = folder / "given"
    given.mkdir(mode=0o755, exist_ok=True)
    kubeconfig = given / "kubeconfig"
    shutil.copyfile(folder / "kubeconfig", kubeconfig)
    kubeconfig.chmod(0o644)
    port = free_port()
    settings = {
        "EXPORTER_LISTEN_ADDRESS": f"127.0.0.1:{port}",
        "EXPORTER_KUBECONFIG": "/mnt/kubeconfig",
        "EXPORTER_INTERVAL": "0.3",
        "EXPORTER_IPAMD_METRICS_PORT": str(sim.facts["ipamd_port"]),
        "EXPORTER_ALLOW_LOOPBACK_TARGETS": "true",
        "EXPORTER_EC2_SUBNETS_INTERVAL": "0.3",
        "EXPORTER_EC2_ENIS_INTERVAL": "0.3",
        **environment,
    }
    with running(image, given, image.config["Entrypoint"], settings) as process:
        exporter = Daemon(process, f"http://127.0.0.1:{port}", given / "log")
        eventually(lambda: exporter.logged("listening") or None, "the exporter listens")
        yield exporter
