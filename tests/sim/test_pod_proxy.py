import asyncio

import aiohttp
import pytest

from exporter.sim import Simulation
from exporter.sim.faults import Fault
from tests.sim.client import AWS_NODE, ask, name, on_loop, page, small


def url(sim: Simulation, *, form: str = "{name}:{port}") -> str:
    pod = sim.cluster.expected[0].pods[0].name
    return f"{AWS_NODE}/{form.format(name=pod, port=sim.ipamd_port)}/proxy/metrics"


async def proxied(sim: Simulation, path: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {sim.token('full_proxy')}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(sim.api_url + path, allow_redirects=False) as reply,
    ):
        return reply.status, await reply.read()


@pytest.mark.parametrize("form", ["{name}:{port}", "http:{name}:{port}", "http:{name}:{port}:"])
@on_loop
async def test_a_page_by_proxy_is_the_page_of_the_pod(form: str) -> None:
    async with small(1) as sim:
        status, body = await proxied(sim, url(sim, form=form))
        if form.endswith(":"):
            assert status == 400
        else:
            assert (status, body.decode()) == (200, await page(sim))
            assert sim.traffic.proxied == {name(sim): 1}


@on_loop
async def test_where_only_127_0_0_1_exists_pods_are_read_by_proxy_alone() -> None:
    async with small(2, loopback_only=True) as sim:
        node = sim.cluster.expected[0]
        status, body = await proxied(sim, url(sim))
        assert (status, body) == (200, node.process and node.process.page().body)
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection(node.address, sim.ipamd_port)


@on_loop
async def test_a_pod_that_refuses_is_a_503_with_a_status() -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], Fault.REFUSE)
        status, body = await ask(sim, url(sim), token=sim.token("full_proxy"))
        assert (status, body["reason"]) == (503, "ServiceUnavailable")
        assert body["message"].startswith("error trying to reach service: dial tcp 127.64.0.1:")


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault.STATUS_500, 500), (Fault.STATUS_404, 404), (Fault.REDIRECT, 302), (Fault.EMPTY, 200)],
)
@on_loop
async def test_a_pods_status_is_passed_on(fault: Fault, status: int) -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], fault)
        found, _ = await proxied(sim, url(sim))
        assert found == status
        assert sim.traffic.redirects_followed == 0


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.TRUNCATED_CHUNKED])
@on_loop
async def test_a_page_that_breaks_off_breaks_off_by_proxy_too(fault: Fault) -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], fault)
        with pytest.raises(aiohttp.ClientError):
            await proxied(sim, url(sim))


@on_loop
async def test_a_pod_that_hangs_hangs_by_proxy_too() -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], Fault.HANG)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await proxied(sim, url(sim))


@on_loop
async def test_a_pod_that_is_not_there_is_not_found() -> None:
    async with small(1) as sim:
        status, body = await ask(
            sim, f"{AWS_NODE}/nobody:1/proxy/metrics", token=sim.token("full_proxy")
        )
        assert (status, body["message"]) == (404, 'pods "nobody" not found')
