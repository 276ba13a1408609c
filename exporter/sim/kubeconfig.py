"""Writes a kubeconfig for the simulated API: server, token, context."""

from pathlib import Path

import yaml


def text(server: str, token: str, *, namespace: str) -> str:
    """Return the kubeconfig as YAML."""
    context = {"cluster": "sim", "user": "sim", "namespace": namespace}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sim", "cluster": {"server": server}}],
            "users": [{"name": "sim", "user": {"token": token}}],
            "contexts": [{"name": "sim", "context": context}],
            "current-context": "sim",
        },
        sort_keys=False,
    )


def write(path: Path, content: str) -> None:
    """Put the file in place whole, readable by its owner alone."""
    draft = path.with_name(path.name + ".new")
    draft.touch(mode=0o600)
    draft.write_text(content)
    draft.replace(path)
