import asyncio
import zlib

import aiohttp
import pytest

from exporter.sim.faults import DRIP_SECONDS, REASONS, Fault
from tests.sim.client import Answer, dial, name, on_loop, raw, read_all, small, unchunked
from tests.sim.test_daemon import GET, body_of


async def faulty(fault: Fault) -> tuple[Answer, bytes]:
    """Return what a node with this fault sends until it closes, and its true page."""
    async with small(1) as sim:
        await sim.set_fault([name(sim)], fault)
        return await raw(sim), body_of(sim)


@on_loop
async def test_a_node_that_refuses_has_no_socket() -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], Fault.REFUSE)
        with pytest.raises(ConnectionRefusedError):
            await dial(sim)


@on_loop
async def test_a_node_that_hangs_accepts_and_sends_nothing() -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], Fault.HANG)
        reader, writer = await dial(sim)
        writer.write(GET)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(1)
        writer.close()


@on_loop
async def test_a_node_that_hangs_at_connect_does_not_even_accept() -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], Fault.HANG_CONNECT)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await dial(sim)


@on_loop
async def test_a_node_that_drips_sends_a_byte_now_and_then() -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], Fault.DRIP)
        reader, writer = await dial(sim)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        began = asyncio.get_running_loop().time()
        received = await reader.readexactly(3)
        took = asyncio.get_running_loop().time() - began
        writer.close()
        assert body_of(sim).startswith(received)
        assert 2 * DRIP_SECONDS <= took < 5 * DRIP_SECONDS


@on_loop
async def test_an_endless_body_goes_on_beyond_any_limit() -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], Fault.ENDLESS)
        reader, writer = await dial(sim)
        writer.write(GET)
        size = 0
        while size < 8 * 1024 * 1024:
            part = await reader.read(1 << 20)
            assert part, f"it ended after {size} bytes"
            size += len(part)
        writer.close()


@on_loop
async def test_a_gzip_bomb_grows_more_than_two_hundredfold() -> None:
    answer, _ = await faulty(Fault.GZIP_BOMB)
    packed = unchunked(answer)
    unpacked = zlib.decompressobj(31)
    size, rest = 0, packed
    while rest:
        size += len(unpacked.decompress(rest, 1 << 22))
        rest = unpacked.unconsumed_tail
    assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip")
    assert size == 256 * 1024 * 1024
    assert len(packed) * 200 < size


@pytest.mark.parametrize(
    ("fault", "status"), [(Fault.STATUS_500, 500), (Fault.STATUS_404, 404), (Fault.REDIRECT, 302)]
)
@on_loop
async def test_a_status_fault_answers_with_its_status(fault: Fault, status: int) -> None:
    answer, _ = await faulty(fault)
    assert answer.status == status


@on_loop
async def test_a_truncated_page_is_shorter_than_it_says() -> None:
    answer, body = await faulty(Fault.TRUNCATED)
    assert int(answer.headers["content-length"]) == len(body)
    assert answer.body == body[: len(body) // 2]


@on_loop
async def test_a_page_truncated_in_chunks_lacks_the_last_chunk() -> None:
    answer, body = await faulty(Fault.TRUNCATED_CHUNKED)
    half = body[: len(body) // 2]
    assert answer.body == b"%x\r\n%b\r\n" % (len(half), half)


@on_loop
async def test_a_page_cut_in_a_line_has_sound_framing_and_no_last_newline() -> None:
    answer, body = await faulty(Fault.CUT_LINE)
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.body == body[:-12]
    assert not answer.body.endswith(b"\n")


@on_loop
async def test_rubbish_is_a_200_that_is_no_page() -> None:
    html, _ = await faulty(Fault.RUBBISH)
    noise, _ = await faulty(Fault.RANDOM_BYTES)
    assert (html.status, html.headers["content-type"]) == (200, "text/html")
    assert b"<html>" in html.body
    assert (noise.status, len(noise.body)) == (200, 20_000)


@on_loop
async def test_an_empty_body_is_a_200_of_no_bytes() -> None:
    answer, _ = await faulty(Fault.EMPTY)
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "0", b"")


@on_loop
async def test_an_inconsistent_page_differs_by_a_total_below_assigned() -> None:
    answer, body = await faulty(Fault.INCONSISTENT)
    changed = set(answer.body.splitlines()) - set(body.splitlines())
    assigned = next(
        line.split()[1]
        for line in body.splitlines()
        if line.startswith(b"awscni_assigned_ip_addresses ")
    )
    assert changed == {b"awscni_total_ip_addresses %d" % (int(assigned) - 1)}


@on_loop
async def test_a_missing_family_is_all_that_a_page_lacks() -> None:
    answer, body = await faulty(Fault.MISSING_FAMILY)
    missing = [line for line in body.splitlines() if line not in answer.body.splitlines()]
    assert len(missing) == 3
    assert all(b"awscni_total_ip_addresses" in line for line in missing)


@on_loop
async def test_the_books_see_whoever_follows_a_redirect() -> None:
    async with small(1) as sim:
        await sim.set_fault([name(sim)], Fault.REDIRECT)
        url = f"http://{sim.cluster.expected[0].address}:{sim.ipamd_port}/metrics"
        async with aiohttp.ClientSession() as session:
            async with session.get(url, allow_redirects=False) as reply:
                assert reply.headers["Location"] == "/redirected"
            assert sim.traffic.redirects_followed == 0
            with pytest.raises(aiohttp.TooManyRedirects):
                await session.get(url, max_redirects=2)
        assert sim.traffic.redirects_followed == 1


@pytest.mark.parametrize("fault", list(Fault))
@on_loop
async def test_a_faulty_node_is_unread_in_the_truth_and_read_again_without_the_fault(
    fault: Fault,
) -> None:
    async with small(2) as sim:
        await sim.set_fault([name(sim)], fault)
        samples = sim.truth()["samples"]
        assert ({"state": "unread"}, 1) in samples["vpc_cni_cluster_nodes"]
        assert ({"reason": REASONS[fault][0]}, 1) in samples["vpc_cni_cluster_unread_nodes"]
        await sim.set_fault([name(sim)], None)
        assert ({"state": "unread"}, 0) in sim.truth()["samples"]["vpc_cni_cluster_nodes"]
        await read_all(sim)
        assert len(sim.traffic.served_whole) == 2
