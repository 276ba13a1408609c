from __future__ import annotations

from exporter.core.cni_settings import NAMES, NUMBERS
from exporter.sim.setting_books import SETTINGS, rows
from tests.sim.client import on_loop, small


def test_the_books_tell_of_the_settings_that_the_exporter_promises() -> None:
    assert set(SETTINGS) == set(NAMES)
    assert {name for name, number in SETTINGS.items() if number} == set(NUMBERS)


def test_the_truth_of_settings_is_what_is_written_and_the_number_it_is() -> None:
    env = {"WARM_IP_TARGET": "05", "MAX_ENI": "x", "ENABLE_IPv4": "", "CLUSTER_NAME": "sim"}
    assert dict(rows(env)) == {
        ("vpc_cni_setting", (("name", "WARM_IP_TARGET"), ("value", "05"))): 1,
        ("vpc_cni_setting_value", (("name", "WARM_IP_TARGET"),)): 5,
        ("vpc_cni_setting", (("name", "MAX_ENI"), ("value", "x"))): 1,
    }


@on_loop
async def test_the_truth_of_a_simulation_has_the_settings_of_its_daemonset() -> None:
    async with small(1, env={"WARM_IP_TARGET": "7"}) as sim:
        told = sim.truth()["samples"]
        assert ({"name": "WARM_IP_TARGET", "value": "7"}, 1) in told["vpc_cni_setting"]
        assert ({"name": "WARM_IP_TARGET"}, 7) in told["vpc_cni_setting_value"]
