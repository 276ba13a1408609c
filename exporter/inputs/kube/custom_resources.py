"""The JSON of the CNI's own kinds of objects; only fields that are used have names."""

from __future__ import annotations

import re

import msgspec

from exporter.inputs.kube.decoding import Meta, Wire

# Nothing else goes into a filter of EC2's, where * and ? stand for any text.
_SUBNET = re.compile(r"subnet-[0-9a-z]+")
_TRUNK_FEATURE = "SecurityGroupsForPods"


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


class _Feature(Wire):
    name: str | None = ""


class _CniNodeSpec(Wire):
    features: list[_Feature] | None = None


class CniNodeObject(Wire):
    """A CNINode, of which only matters whether the node is to have a trunk ENI."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: _CniNodeSpec | None = None


def trunk_node(it: CniNodeObject) -> str | None:
    """Return the node, which has the same name, None where it wants no trunk ENI."""
    features = (it.spec.features if it.spec else None) or ()
    wants = any(feature.name == _TRUNK_FEATURE for feature in features)
    return it.metadata.name if wants else None
