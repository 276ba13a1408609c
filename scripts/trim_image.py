"""Takes out of an installed exporter what it never reads: three fifths of the image.

    python scripts/trim_image.py

works on the environment of the Python that runs it: botocore describes all services of AWS, and
the Kubernetes client has a module for each kind of object, twice.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore
import kubernetes

from exporter.core.health import AWS_OPERATIONS

# Those that credentials come from: IRSA, roles, and the sign-in of a person with a kubeconfig.
CREDENTIALS = frozenset({"signin", "sso", "sso-oidc", "sts"})
_GENERATED = ("client/api", "client/models", "aio/client/api", "aio/client/models")


def services() -> frozenset[str]:
    """Return the services of AWS that are asked."""
    return CREDENTIALS | {service for service, _ in AWS_OPERATIONS}


def unused() -> Iterator[Path]:
    """Yield the folders and modules that nothing of ours reads."""
    for name in _GENERATED:
        modules = sorted((Path(kubernetes.__file__).parent / name).glob("*.py"))
        # The package itself is imported, and would import the others when they are asked for.
        yield from (it for it in modules if it.name != "__init__.py")
    for folder in sorted(Path(botocore.__file__).parent.joinpath("data").iterdir()):
        if folder.is_dir() and folder.name not in services():
            yield folder
        elif folder.is_dir():
            yield from sorted(folder.iterdir())[:-1]  # the versions of its API before the latest


def remove(path: Path) -> int:
    """Remove a file or a folder, and return how many bytes it had."""
    if path.is_file():
        size = path.stat().st_size
        path.unlink()
        return size
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    shutil.rmtree(path)
    return size


def main() -> int:
    """Trim, and say by how much; only an environment of its own is ever touched."""
    if sys.prefix == sys.base_prefix:
        print("this Python has no environment of its own", file=sys.stderr)
        return 1
    removed = [remove(path) for path in list(unused())]
    print(json.dumps({"removed": len(removed), "bytes": sum(removed)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
