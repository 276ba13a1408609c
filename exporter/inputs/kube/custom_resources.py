"""The JSON of the CNI's own kinds of objects; only fields that are used have names."""

from __future__ import annotations

import re

import msgspec

from exporter.inputs.kube.decoding import Meta, Wire

# Nothing else goes into a filter of EC2's, where * and ? stand for any text.
_SUBNET = re.compile(r"subnet-[0-9a-z]+")


class _EniConfigSpec(Wire):
    subnet: str | None = ""


class EniConfigObject(Wire):
    """An ENIConfig, of which only where pods get their addresses matters."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: _EniConfigSpec | None = None


def eniconfig_subnet(it: EniConfigObject) -> str | None:
    """Return the subnet that pods get addresses from, None where none is named."""
    subnet = (it.spec.subnet if it.spec else None) or ""
    return subnet if _SUBNET.fullmatch(subnet) else None
