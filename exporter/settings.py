"""Flags, environment and file into one validated value; each setting is declared once, below.

Flag over environment over file over default. Everything that is wrong is told at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from exporter.setting_types import (
    SOURCES,
    Address,
    AddressOrNone,
    Boolean,
    Count,
    History,
    Interval,
    Introspection,
    Names,
    Namespace,
    Port,
    Seconds,
    Sources,
)

PREFIX = "EXPORTER_"
CONFIG_VARIABLE = "EXPORTER_CONFIG"

# What cni-metrics-helper reads (reference 6.1): its name, ours, and how its values translate.
_LEVELS = {"debug": "debug", "info": "info", "warn": "warning", "error": "error", "fatal": "error"}
ALIASES: Mapping[str, str] = {
    "AWS_CLUSTER_ID": "cluster_name",
    "METRIC_UPDATE_INTERVAL": "interval",
    "AWS_VPC_K8S_CNI_LOGLEVEL": "log_level",
    "AWS_REGION": "region",
    "USE_CLOUDWATCH": "cloudwatch",
}
# Accepted so that its manifest works unchanged, without a setting of ours behind them.
ACCEPTED: Mapping[str, str] = {
    "USE_PROMETHEUS": "/metrics is always served",
}
# AWS_REGION says nothing: IRSA and Pod Identity set it in every pod.
_INCUMBENT_MARKS = {*ALIASES, *ACCEPTED} - {"AWS_REGION"}


class SettingsError(Exception):
    """The settings cannot be used; `problems` says all that is wrong with them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Settings(BaseModel):
    """Every setting: default, type and what it does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen_address: Address = Field(
        ":61681",
        description="Where /metrics, /healthz, /readyz and the page are served, as HOST:PORT; "
        "without a host on all addresses.",
    )
    health_address: AddressOrNone = Field(
        "",
        description="Where /healthz and /readyz are served for probes, plain, whatever guards the "
        "first address; where that is guarded, there only. Empty: on the first, and without "
        "credentials.",
    )
    web_config: str = Field(
        "",
        description="A web-config file of the exporter-toolkit: TLS, client certificates, basic "
        "authentication and headers of /metrics and the page; followed when it changes.",
    )
    token_auth: Boolean = Field(
        False,
        description="Let in bearer tokens whose owner may get /metrics, by TokenReview and "
        "SubjectAccessReview (needs create on both), and nobody without a token or a password.",
    )
    cluster_name: str = Field(
        "",
        description="The cluster's name in what is published. Empty: CLUSTER_NAME of the aws-node "
        "pods, else the cluster that the tags on the nodes' ENIs name.",
    )
    region: str = Field(
        "",
        description="The cluster's AWS region. Empty: the nodes' label "
        "topology.kubernetes.io/region, else the region of aws-node's image registry.",
    )
    namespace: str = Field(
        "kube-system", min_length=1, description="The namespace that aws-node runs in."
    )
    kubeconfig: str = Field(
        "",
        description="A kubeconfig file. Empty: KUBECONFIG, else the pod's service account, else "
        "~/.kube/config.",
    )
    sources: Sources = Field(
        SOURCES,
        description="What is read: ipamd on the nodes, EC2's subnets and ENIs (ec2), and the "
        "cluster and its add-ons (eks). ipamd is always read.",
    )
    interval: Seconds = Field(30.0, description="Seconds between two readings of the nodes.")
    scrape_timeout: Seconds = Field(
        5.0, description="Seconds after which a node that has not answered is unread."
    )
    scrape_concurrency: Count = Field(
        200, description="Nodes that are read at once; a silent node gives up its place."
    )
    scrape_via: Literal["direct", "apiserver"] = Field(
        "direct",
        description="How nodes are read: `direct`, to port 61678 of the node, or `apiserver`, "
        "through the API server's pod proxy (needs pods/proxy). With nothing but "
        "cni-metrics-helper's variables set, apiserver.",
    )
    ipamd_metrics_port: Port = Field(61678, description="The port of ipamd's metrics.")
    introspection: Introspection = Field(
        "auto",
        description="Whether ipamd's introspection is asked beside its metrics: `auto`, wherever "
        "it answers; a node that does not is asked again after ten minutes. ipamd answers on its "
        "own host only, unless its INTROSPECTION_BIND_ADDRESS is set.",
    )
    ipamd_introspection_port: Port = Field(
        61679,
        description="The port of ipamd's introspection, where INTROSPECTION_BIND_ADDRESS of the "
        "aws-node pod names no other.",
    )
    introspection_interval: Interval = Field(
        30.0,
        description="Seconds between two requests to the introspection of a node at least; ipamd "
        "logs each.",
    )
    allow_loopback_targets: Boolean = Field(
        False, description="Read pods on loopback addresses, for demonstrations and tests."
    )
    ec2_subnets_interval: Seconds = Field(
        60.0, description="Seconds between two readings of the subnets."
    )
    ec2_enis_interval: Seconds = Field(
        180.0, description="Seconds between two readings of all ENIs of the VPC."
    )
    eks_interval: Seconds = Field(
        900.0, description="Seconds between two readings of the cluster and its add-ons from EKS."
    )
    forecast_min_history: History = Field(
        3600.0,
        description="Seconds that a subnet's free addresses must have fallen evenly before it is "
        "told when they run out; six hours at most, which is how much history is kept.",
    )
    cloudwatch: Boolean = Field(
        False,
        description="Publish to CloudWatch, every metric once a minute. On where any of "
        "cni-metrics-helper's variables but AWS_REGION is set, as it is there.",
    )
    cloudwatch_namespace: Namespace = Field(
        "Kubernetes", description="The namespace of the metrics on CloudWatch."
    )
    cloudwatch_interval: Count = Field(
        60,
        description="Whole seconds that one point on CloudWatch stands for. Below 60 the metrics "
        "are of high resolution.",
    )
    cloudwatch_subnets: Boolean = Field(
        False,
        description="Publish three metrics of each subnet to CloudWatch too. Each is billed.",
    )
    cloudwatch_grace: Seconds = Field(
        10.0,
        description="Seconds that the exporter takes at its end, at most, for what CloudWatch has "
        "not taken yet.",
    )
    metrics_allow: Names = Field(
        (),
        description="Names of metrics to publish, with * and ?. Empty: all. The exporter's own "
        "metrics always stay.",
    )
    metrics_deny: Names = Field(
        (), description="Names of metrics not to publish, with * and ?; overrules metrics_allow."
    )
    node_metrics: Literal["all", "problems", "none"] = Field(
        "all",
        description="Which nodes have series of their own: all, only those that were not read or "
        "have nothing left to give (problems), or none.",
    )
    legacy_metrics: Boolean = Field(
        False,
        description="Also publish cni-metrics-helper's six awscni_* gauges. ipamd uses the same "
        "names: where both are scraped, sums count twice.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="How much is logged."
    )


FIELDS: Mapping[str, FieldInfo] = Settings.model_fields


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def flag(name: str) -> str:
    """Return the command line flag of a setting."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where each that is not a default came from, and what should be said about them."""

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Gathered:
    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def put(self, name: str, value: object, origin: str) -> None:
        self.values[name], self.origins[name] = value, origin


def load(flags: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Loaded:
    """Return the settings, or raise `SettingsError` with everything that is wrong."""
    found = _Gathered()
    environ = {name: value for name, value in environ.items() if value.strip()}
    _from_file(environ.get(CONFIG_VARIABLE), found)
    own = bool(found.values)
    own |= _from_environment(environ, found)
    for name, value in flags.items():
        found.put(name, value, flag(name))
    _as_the_incumbent(environ, own or bool(flags), found)
    try:
        settings = Settings(**found.values)  # type: ignore[arg-type]
    except ValidationError as error:
        found.problems += [_problem(item, found.origins) for item in error.errors()]
    if found.problems:
        raise SettingsError(found.problems)
    return Loaded(settings, found.origins, tuple(found.warnings))


def _from_file(path: str | None, found: _Gathered) -> None:
    if path is None:
        return
    try:
        with open(path, encoding="utf-8") as file:
            content: object = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found.problems.append(f"{CONFIG_VARIABLE}: {path} cannot be read: {error}")
        return
    if content is None:
        return
    if not isinstance(content, dict):
        found.problems.append(f"{CONFIG_VARIABLE}: {path} must hold a mapping of settings")
        return
    for name, value in content.items():
        if name in FIELDS:
            found.put(name, value, f"{path}: {name}")
        else:
            found.problems.append(f"{path}: {name} is no setting")


def _from_environment(environ: Mapping[str, str], found: _Gathered) -> bool:
    """Take the variables, the canonical over the alias; return whether there was one of ours."""
    own = False
    for alias, name in ALIASES.items():
        if alias in environ:
            value = environ[alias].strip()
            if name == "log_level":
                value = _LEVELS.get(value.lower(), "debug")  # as the incumbent treats the unknown
            found.put(name, value, alias)
    for given, value in environ.items():
        name = given.removeprefix(PREFIX).lower()
        if not given.startswith(PREFIX) or given == CONFIG_VARIABLE:
            continue
        if name in FIELDS and given == variable(name):
            own = True
            found.put(name, value.strip(), given)
        else:
            found.warnings.append(f"{given} is no setting and is ignored")
    return own


def _as_the_incumbent(environ: Mapping[str, str], own: bool, found: _Gathered) -> None:
    """Publish as the incumbent does; with its variables alone, also read as it does."""
    for name, remark in ACCEPTED.items():
        if name in environ:
            found.warnings.append(f"{name} is accepted: {remark}")
    marks = _INCUMBENT_MARKS & environ.keys()
    if marks and "cloudwatch" not in found.values:
        found.put("cloudwatch", True, "cni-metrics-helper's variables")
        if own:
            found.warnings.append(
                f"{', '.join(sorted(marks))} set and USE_CLOUDWATCH not, so CloudWatch is on as it "
                "would be with cni-metrics-helper; EXPORTER_CLOUDWATCH=false switches it off"
            )
    if own or not marks:
        return
    found.put("scrape_via", "apiserver", "cni-metrics-helper's variables")
    found.warnings.append(
        "only cni-metrics-helper's variables are set, so nodes are read through the API server as "
        "it does; with EXPORTER_SCRAPE_VIA=direct and RBAC for nodes and daemonsets the exporter "
        "reads faster, and knows zones, node groups and nodes without a pod"
    )


def _problem(error: Any, origins: Mapping[str, str]) -> str:
    name = str(error["loc"][0])
    message = str(error["msg"]).removeprefix("Value error, ")
    given = repr(error["input"])
    shown = given if len(given) <= 80 else given[:77] + "..."
    return f"{origins.get(name, name)}: {shown} is not usable: {message[:1].lower()}{message[1:]}"
