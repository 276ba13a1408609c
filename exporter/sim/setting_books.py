"""The truth of the CNI's settings: those of a DaemonSet's variables that are told of."""

from collections.abc import Iterable, Mapping

from exporter.sim.facts import Series, series

# Whether they are numbers.
SETTINGS = {
    "AWS_MANAGE_ENIS_NON_SCHEDULABLE": False,
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": False,
    "AWS_VPC_K8S_CNI_EXTERNALSNAT": False,
    "DISABLE_INTROSPECTION": False,
    "DISABLE_LEAKED_ENI_CLEANUP": False,
    "DISABLE_METRICS": False,
    "DISABLE_NETWORK_RESOURCE_PROVISIONING": False,
    "ENABLE_IMDS_ONLY_MODE": False,
    "ENABLE_IPv4": False,
    "ENABLE_IPv6": False,
    "ENABLE_MULTI_NIC": False,
    "ENABLE_POD_ENI": False,
    "ENABLE_PREFIX_DELEGATION": False,
    "ENABLE_SUBNET_DISCOVERY": False,
    "ENI_CONFIG_ANNOTATION_DEF": False,
    "ENI_CONFIG_LABEL_DEF": False,
    "IP_COOLDOWN_PERIOD": True,
    "MANAGE_UNTAGGED_ENI": False,
    "MAX_ENI": True,
    "MINIMUM_IP_TARGET": True,
    "POD_SECURITY_GROUP_ENFORCING_MODE": False,
    "WARM_ENI_TARGET": True,
    "WARM_IP_TARGET": True,
    "WARM_PREFIX_TARGET": True,
}


def rows(env: Mapping[str, str]) -> Iterable[tuple[Series, float]]:
    """Return the samples of a DaemonSet's settings, those of numbers twice."""
    for name, value in env.items():
        if value and name in SETTINGS:
            yield series("vpc_cni_setting", name=name, value=value), 1
            if SETTINGS[name] and value.lstrip("+-").isdecimal():
                yield series("vpc_cni_setting_value", name=name), int(value)
