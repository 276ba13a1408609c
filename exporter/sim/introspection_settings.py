"""What ipamd's introspection tells beside its ENIs: the ENIConfig chosen, and what it was set to.

Keys come with their release (reference 2.4 to 2.6).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.core.pool import Settings
from exporter.sim.introspection_bodies import encoded
from exporter.sim.ipamd import Release

_EXTERNAL_LABEL = "vpc.amazonaws.com/externalEniConfig"
_DEFAULT_KEY = "k8s.amazonaws.com/eniConfig"
_SINCE_EXTERNAL = (1, 11)
_SINCE_NAME_ALONE = (1, 8)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What ipamd knows of its node: its environment, the node's labels, the ENIConfigs there are
    (name to subnet)."""

    env: Mapping[str, str]
    labels: Mapping[str, str]
    eni_configs: Mapping[str, str]


def chosen_eni_config(around: Surroundings, release: Release) -> str:
    """Return the name of the ENIConfig that a node's pods go by, `default` where none is named."""
    label = around.env.get("ENI_CONFIG_LABEL_DEF", _DEFAULT_KEY)
    external = _EXTERNAL_LABEL if release >= _SINCE_EXTERNAL else label
    return around.labels.get(external) or around.labels.get(label) or "default"


def eni_configs(around: Surroundings, release: Release) -> bytes:
    """Return the body of `/v1/eni-configs`."""
    chosen = chosen_eni_config(around, release)
    if release >= _SINCE_NAME_ALONE:
        return encoded(chosen)
    groups = ["sg-0a1b2c3d4e5f60718"]
    return encoded(
        {
            "ENI": {
                name: {"securityGroups": groups, "subnet": subnet}
                for name, subnet in sorted(around.eni_configs.items())
            },
            "MyENI": chosen,
            "EniConfigAnnotationDef": around.env.get("ENI_CONFIG_ANNOTATION_DEF", _DEFAULT_KEY),
            "EniConfigLabelDef": around.env.get("ENI_CONFIG_LABEL_DEF", _DEFAULT_KEY),
        }
    )


def ipamd_settings(around: Surroundings, release: Release) -> bytes:
    """Return the body of `/v1/ipamd-env-settings`: five keys, as they were understood."""
    settings = Settings.from_env(around.env)
    found: dict[str, object] = {
        "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": settings.custom_networking,
        "WARM_ENI_TARGET": settings.warm_eni,
        "WARM_IP_TARGET": settings.warm_ip,
    }
    if release >= (1, 12, 6):
        found["AWS_MANAGE_ENIS_NON_SCHEDULABLE"] = settings.manage_unschedulable
    if release >= (1, 18):
        found["ENABLE_SUBNET_DISCOVERY"] = settings.subnet_discovery
    return encoded(dict(sorted(found.items())))


def network_settings(release: Release) -> bytes:
    """Return the body of `/v1/networkutils-env-settings`, all at their defaults."""
    found: dict[str, object] = {
        "AWS_VPC_K8S_CNI_CONNMARK": 128,
        "AWS_VPC_K8S_CNI_EXTERNALSNAT": False,
        "AWS_VPC_CNI_NODE_PORT_SUPPORT": True,
        "AWS_VPC_K8S_CNI_RANDOMIZESNAT": 2,
    }
    if release >= (1, 6):
        found["AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS"] = None
    if release >= (1, 6, 2):
        found["AWS_VPC_ENI_MTU"] = 9001
    if (1, 6, 2) <= release <= (1, 12, 0):
        found["AWS_VPC_K8S_CNI_CONFIGURE_RPFILTER"] = True
    if release >= (1, 8):
        found["AWS_VPC_K8S_CNI_VETHPREFIX"] = "eni"
    if release >= (1, 12, 6):
        found["AWS_EXTERNAL_SERVICE_CIDRS"] = None
    return encoded(dict(sorted(found.items())))
