"""How an answer of AWS's goes over the wire: whole, late, cut, reset, broken, or not at all."""

import asyncio
import socket
import struct

from aiohttp import web

from exporter.sim.troubles import Plan, Trouble

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>\x00]]></body></html>"
_CHUNKED_FROM = 16_384


async def troubled(
    request: web.Request, response: web.StreamResponse, body: bytes, *, plan: Plan | None
) -> web.StreamResponse:
    """Send an answer as its trouble leaves it."""
    match plan.trouble if plan is not None else None:
        case Trouble.HANG:
            await asyncio.Event().wait()
        case Trouble.SLOW:
            assert plan is not None
            await asyncio.sleep(plan.seconds)
        case Trouble.RESET:
            return _reset(request)
        case Trouble.CUT_OFF:
            return await _cut_off(request, response, body)
        case Trouble.MALFORMED:
            body = body[: len(body) // 2]
        case Trouble.RUBBISH:
            response, body = web.StreamResponse(headers={"Content-Type": "text/html"}), _HTML
    return await sent(request, response, body)


async def sent(
    request: web.Request, response: web.StreamResponse, body: bytes
) -> web.StreamResponse:
    """Send a whole body, in chunks where it is large, as EC2 does."""
    if len(body) < _CHUNKED_FROM:
        response.content_length = len(body)
    else:
        response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(body)
    await response.write_eof()
    return response


async def _cut_off(
    request: web.Request, response: web.StreamResponse, body: bytes
) -> web.StreamResponse:
    """Promise the whole body, send half of it, and close."""
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _reset(request: web.Request) -> web.StreamResponse:
    """Reset the connection; what is returned is never sent."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()
