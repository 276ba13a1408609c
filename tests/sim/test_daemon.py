import asyncio
import gzip

import pytest

from exporter.sim import Simulation
from exporter.sim.faults import Fault
from tests.sim.client import dial, name, on_loop, page, raw, read_all, small, unchunked

GET = b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n"


def body_of(sim: Simulation, number: int = 0) -> bytes:
    process = list(sim.cluster.nodes.values())[number].process
    assert process is not None
    return process.page().body


@on_loop
async def test_a_page_comes_with_its_length_or_in_chunks_by_node() -> None:
    async with small(2) as sim:
        long, chunked = await raw(sim, 0), await raw(sim, 1)
        assert long.headers["content-length"] == str(len(body_of(sim, 0)))
        assert long.body == body_of(sim, 0)
        assert chunked.headers["transfer-encoding"] == "chunked"
        assert unchunked(chunked) == body_of(sim, 1)


@on_loop
async def test_gzip_comes_only_where_it_is_asked_for() -> None:
    async with small(1) as sim:
        plain = await raw(sim)
        packed = await raw(sim, more="Accept-Encoding: gzip\r\n")
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body


@pytest.mark.parametrize("path", ["/", "/metrics/", "/v1/enis"])
@on_loop
async def test_other_paths_are_not_found(path: str) -> None:
    async with small(1) as sim:
        answer = await raw(sim, path=path)
        assert answer.status == 404
        assert sim.traffic.other_paths == {path: 1}


@on_loop
async def test_a_connection_answers_one_request_after_another() -> None:
    async with small(1) as sim:
        reader, writer = await dial(sim)
        for _ in range(2):
            writer.write(GET[:10])
            await writer.drain()
            writer.write(GET[10:])
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(body_of(sim))) == body_of(sim)
        writer.close()
        assert (sim.traffic.connections[name(sim)], sim.traffic.pages[name(sim)]) == (1, 2)


@on_loop
async def test_requests_sent_at_once_are_answered_in_order() -> None:
    async with small(1) as sim:
        reader, writer = await dial(sim)
        writer.write(GET + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        data = await reader.read()
        writer.close()
        assert data.count(b"HTTP/1.1 200 OK") == 2
        assert data.endswith(body_of(sim))


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HT"], ids=["nothing", "half a request"])
@on_loop
async def test_a_connection_that_asks_for_nothing_is_closed_after_the_read_timeout(
    sent: bytes,
) -> None:
    async with small(1, idle=0.3) as sim:
        loop = asyncio.get_running_loop()
        began = loop.time()
        reader, writer = await dial(sim)
        writer.write(sent)
        assert await reader.read() == b""
        writer.close()
        assert 0.25 < loop.time() - began < 2
        assert sim.traffic.idle_closed == 1


@on_loop
async def test_a_connection_kept_alive_is_closed_after_the_read_timeout() -> None:
    async with small(1, idle=0.3) as sim:
        loop = asyncio.get_running_loop()
        reader, writer = await dial(sim)
        await asyncio.sleep(0.15)
        writer.write(GET)
        began = loop.time()
        data = await reader.read()
        writer.close()
        assert data.endswith(body_of(sim))
        assert 0.25 < loop.time() - began < 2


@on_loop
async def test_only_a_page_served_whole_is_noted() -> None:
    async with small(1) as sim:
        _, writer = await dial(sim)
        writer.write(GET * 500)
        await asyncio.sleep(0.1)
        asked, whole = sim.traffic.pages[name(sim)], sim.traffic.served_whole[name(sim)]
        assert asked == 500
        assert whole < 500
        writer.transport.abort()
        await asyncio.sleep(0.05)
        assert sim.traffic.served_whole[name(sim)] == whole


@on_loop
async def test_a_node_without_a_running_pod_refuses_connections() -> None:
    async with small(1) as sim:
        await sim.event("pend", [name(sim)])
        with pytest.raises(ConnectionRefusedError):
            await dial(sim)
        await sim.event("run", [name(sim)])
        assert "process_start_time_seconds" in await page(sim)


@on_loop
async def test_all_nodes_answer_on_one_port_each_on_its_own_address() -> None:
    async with small(6) as sim:
        await read_all(sim)
        expected = [node.name for node in sim.cluster.expected]
        assert sorted(sim.traffic.served_whole) == sorted(expected)
        assert len({node.address for node in sim.cluster.nodes.values()}) == len(sim.cluster.nodes)


@on_loop
async def test_a_restart_drops_who_is_connected() -> None:
    async with small(1) as sim:
        reader, writer = await dial(sim)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(body_of(sim)))
        await sim.event("restart", [name(sim)])
        assert await reader.read() == b""
        writer.close()


@on_loop
async def test_a_head_that_never_ends_is_refused() -> None:
    async with small(1) as sim:
        reader, writer = await dial(sim)
        writer.write(GET[:-2] + b"X: " + b"x" * 20_000)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        writer.close()


@on_loop
async def test_who_asks_a_node_in_the_moment_it_goes_is_dropped() -> None:
    async with small(1) as sim:
        reader, writer = await dial(sim)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(body_of(sim)))
        sim.cluster.expected[0].pods.clear()
        writer.write(GET)
        assert await reader.read() == b""
        writer.close()


@on_loop
async def test_a_node_told_two_things_at_once_ends_as_the_last_one_says() -> None:
    async with small(1) as sim:
        node = [name(sim)]
        faults = (Fault.REFUSE, None, Fault.HANG_CONNECT, Fault.REFUSE, None)
        await asyncio.gather(*(sim.set_fault(node, fault) for fault in faults))
        assert len(await page(sim)) > 1000
