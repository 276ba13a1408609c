"""Who set which field, as the API server keeps it in every object: bulk a reader has to skip.

Encoded once, since it is most of an object's bytes and the same in all.
"""

import msgspec


def _owned(names: str) -> dict[str, object]:
    return {f"f:{name}": {} for name in names.split()}


def _container(name: str, env: str) -> dict[str, object]:
    variables = {f'k:{{"name":"{one}"}}': _owned("name value") for one in env.split()}
    settings = _owned("image imagePullPolicy livenessProbe name ports readinessProbe resources")
    return {f'k:{{"name":"{name}"}}': {".": {}, "f:env": {".": {}, **variables}, **settings}}


_AWS_NODE_ENV = (
    "ADDITIONAL_ENI_TAGS ANNOTATE_POD_IP AWS_VPC_CNI_NODE_PORT_SUPPORT AWS_VPC_ENI_MTU "
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG AWS_VPC_K8S_CNI_EXTERNALSNAT AWS_VPC_K8S_CNI_LOGLEVEL "
    "CLUSTER_NAME DISABLE_INTROSPECTION DISABLE_METRICS ENABLE_IPv4 ENABLE_POD_ENI "
    "ENABLE_PREFIX_DELEGATION MY_NODE_NAME VPC_ID WARM_ENI_TARGET WARM_PREFIX_TARGET"
)

_SPEC = {
    **_owned("dnsPolicy enableServiceLinks hostNetwork priorityClassName restartPolicy"),
    **_owned("schedulerName serviceAccountName terminationGracePeriodSeconds tolerations volumes"),
    "f:containers": {
        **_container("aws-node", _AWS_NODE_ENV),
        **_container("aws-eks-nodeagent", "MY_NODE_NAME"),
    },
}

_STATUS = _owned("conditions containerStatuses hostIP hostIPs phase podIP podIPs startTime")

_NODE_SPEC = _owned("providerID taints")
_NODE_STATUS = _owned("addresses allocatable capacity conditions images nodeInfo volumesInUse")


def _entry(manager: str, fields: dict[str, object]) -> dict[str, object]:
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-01-12T08:00:05Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


POD_FIELDS = msgspec.Raw(
    msgspec.json.encode(
        [
            _entry("kube-controller-manager", {"f:spec": _SPEC}),
            _entry("kubelet", {"f:status": _STATUS}) | {"subresource": "status"},
        ]
    )
)

NODE_FIELDS = msgspec.Raw(
    msgspec.json.encode(
        [
            _entry("aws-cloud-controller-manager", {"f:spec": _NODE_SPEC}),
            _entry("kubelet", {"f:status": _NODE_STATUS}) | {"subresource": "status"},
        ]
    )
)
