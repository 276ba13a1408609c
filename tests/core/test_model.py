from __future__ import annotations

import dataclasses

import pytest

from exporter.core import counters, health, limits, model, owners, prefixes, report, usage
from exporter.core.model import InstanceType, IpMode, Reason, Unavailable
from exporter.core.subnets import balance, values
from tests.builders import pod


@pytest.mark.parametrize("value", ["1", "t", "T", "true", "TRUE", "True"])
def test_a_setting_of_the_cni_is_on_where_go_reads_true(value: str) -> None:
    assert pod(env={"ENABLE_PREFIX_DELEGATION": value}).enabled("ENABLE_PREFIX_DELEGATION")


@pytest.mark.parametrize("value", ["", "0", "false", "tRUE", "yes", "on", " true"])
def test_a_setting_of_the_cni_is_off_where_go_reads_false_or_nothing_at_all(value: str) -> None:
    assert not pod(env={"ENABLE_PREFIX_DELEGATION": value}).enabled("ENABLE_PREFIX_DELEGATION")


def test_a_setting_of_the_cni_that_is_not_there_is_off() -> None:
    assert not pod().enabled("ENABLE_PREFIX_DELEGATION")


def test_the_reasons_are_a_closed_list() -> None:
    assert [reason.value for reason in Reason] == [
        "no_pod",
        "starting",
        "pending",
        "timeout",
        "unreachable",
        "http_status",
        "malformed",
        "too_large",
        "incomplete",
        "inconsistent",
        "refused_address",
        "reader_missing",
    ]


def test_the_ip_modes_are_a_closed_list_and_the_unknown_one_is_empty() -> None:
    assert [mode.value for mode in IpMode] == ["", "secondary", "prefix", "mixed", "ipv6"]


def test_an_unavailable_system_says_which_and_why() -> None:
    error = Unavailable("kubernetes", "connection refused")
    assert (error.system, error.reason) == ("kubernetes", "connection refused")
    assert str(error) == "kubernetes: connection refused"


@pytest.mark.parametrize(
    ("hypervisor", "bare_metal", "can"),
    [
        pytest.param("nitro", False, True, id="Nitro"),
        pytest.param("", True, True, id="bare metal"),
        pytest.param("xen", False, False, id="Xen"),
        pytest.param("", False, False, id="not known"),
    ],
)
def test_prefixes_are_for_nitro_and_bare_metal(
    hypervisor: str, bare_metal: bool, can: bool
) -> None:
    it = InstanceType(
        name="x", enis=3, ipv4_per_eni=10, vcpus=2, hypervisor=hypervisor, bare_metal=bare_metal
    )
    assert it.prefixes is can


MODULES = (
    model,
    counters,
    usage,
    report,
    health,
    limits,
    owners,
    prefixes,
    values,
    balance,
)


@pytest.mark.parametrize("module", [pytest.param(it, id=it.__name__) for it in MODULES])
def test_every_value_of_the_core_is_frozen_and_slotted(module: object) -> None:
    values = [
        it for it in vars(module).values() if isinstance(it, type) and dataclasses.is_dataclass(it)
    ]
    assert values
    for value in values:
        fields = {field.name for field in dataclasses.fields(value)}
        slots = vars(value).get("__slots__", ())
        assert vars(value)["__dataclass_params__"].frozen, value
        assert fields == set(slots), value
