import asyncio

import aiohttp
import pytest

from tests.sim.client import ask, on_loop, small


@on_loop
async def test_an_api_that_is_down_refuses_connections_and_comes_back_on_its_port() -> None:
    async with small(1) as sim:
        url = sim.api_url
        await sim.api_trouble("down")
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(sim, "/version")
        await sim.api_trouble(None)
        status, _ = await ask(sim, "/version")
        assert (status, sim.api_url) == (200, url)


@on_loop
async def test_an_api_that_goes_down_resets_its_watches() -> None:
    async with small(1) as sim:
        headers = {"Authorization": f"Bearer {sim.token()}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{sim.api_url}/api/v1/nodes?watch=1") as reply,
        ):
            assert await reply.content.readline()
            await sim.api_trouble("down")
            with pytest.raises(aiohttp.ClientError):
                await reply.content.read()


@on_loop
async def test_an_api_that_hangs_answers_nothing() -> None:
    async with small(1) as sim:
        await sim.api_trouble("hang")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ask(sim, "/version")


@on_loop
async def test_a_slow_api_answers_late() -> None:
    async with small(1) as sim:
        await sim.api_trouble("slow", seconds=0.3)
        began = asyncio.get_running_loop().time()
        status, _ = await ask(sim, "/version")
        assert status == 200
        assert asyncio.get_running_loop().time() - began >= 0.3


@on_loop
async def test_a_failing_api_answers_500_with_a_status() -> None:
    async with small(1) as sim:
        await sim.api_trouble("error_500")
        status, body = await ask(sim, "/api/v1/nodes")
        assert (status, body["reason"]) == (500, "InternalError")


@on_loop
async def test_a_trouble_nobody_knows_is_an_error() -> None:
    async with small(1) as sim:
        with pytest.raises(ValueError, match="no trouble 'rain'"):
            await sim.api_trouble("rain")
