"""One HTTP/1.1 GET over a connection of its own, with a limit on everything the other side sends.

It follows no redirects, knows no proxies, and takes only an answer that says where it ends.
"""

from __future__ import annotations

import asyncio
import os
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from exporter.core.model import Reason
from exporter.inputs.fetch import MAX_BODY_BYTES, FetchFailed, decode_body

# Of status line and headers; and of what chunk sizes and trailers may add to a body.
_MAX_HEAD_BYTES = 64 * 1024


async def get(
    address: str, port: int, *, path: str, deadline: float, limit: int = MAX_BODY_BYTES
) -> bytes:
    """Return the body of a 200 answer, or raise `FetchFailed`; `deadline` is in the loop's time."""
    loop = asyncio.get_running_loop()
    exchange = _Exchange(_request(address, port, path), loop.create_future(), limit)
    try:
        async with asyncio.timeout_at(deadline):
            await loop.create_connection(lambda: exchange, address, port)
            answer = await exchange.answer
    except TimeoutError as error:
        raise FetchFailed(Reason.TIMEOUT, exchange.progress()) from error
    except OSError as error:
        raise FetchFailed(Reason.UNREACHABLE, _told(error)) from error
    finally:
        exchange.close()
    if isinstance(answer, FetchFailed):
        # Another one, since an exception knows the frames it came through: were it known in them
        # too, only the garbage collector would free it, and all that the node had sent.
        raise FetchFailed(answer.reason, answer.detail)
    return decode_body(answer, exchange.encoding, limit)


def _request(address: str, port: int, path: str) -> bytes:
    host = f"[{address}]" if ":" in address else address
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: vpc-cni-exporter\r\n"
        "Accept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    ).encode()


def _told(error: Exception) -> str:
    """Return the system's words for it: event loops have different ones of their own."""
    number = error.errno if isinstance(error, OSError) and error.errno else 0
    return os.strerror(number) if number > 0 else type(error).__name__


class _Exchange(asyncio.Protocol):
    """Sends a request as soon as there is a connection, and settles `answer` once.

    What is wrong with an answer is set as its result: nobody may be left to retrieve an exception.
    """

    def __init__(
        self, request: bytes, answer: asyncio.Future[bytes | FetchFailed], limit: int
    ) -> None:
        self.answer = answer
        self.encoding = ""
        self._request = request
        self._limit = limit
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._received = 0
        self._length: int | None = None
        self._chunked = False
        self._in_body = False
        self._body: list[bytes] = []

    def progress(self) -> str:
        """Return how far it came, for people."""
        if self._transport is None:
            return "no connection"
        return f"connected, {self._received} bytes received" if self._received else "no answer"

    def close(self) -> None:
        """Drop the connection at once, and the parser, which refers back to this object."""
        self._parser = None
        if self._transport is not None:
            self._transport.abort()

    def _settle(self, answer: bytes | FetchFailed) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer in."""
        if self._parser is None:
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._settle(FetchFailed(Reason.MALFORMED, f"not HTTP: {error}"[:120]))
        if not self._in_body and self._received > _MAX_HEAD_BYTES:
            self._settle(FetchFailed(Reason.MALFORMED, f"more than {_MAX_HEAD_BYTES} header bytes"))
        if self._received > self._limit + _MAX_HEAD_BYTES:
            self._settle(self._too_large())

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle an answer that has not come to its end."""
        if self._received:
            detail = f"cut off after {self._received} bytes"
            self._settle(FetchFailed(Reason.INCOMPLETE, detail))
        elif exc is None:
            self._settle(FetchFailed(Reason.INCOMPLETE, "closed without an answer"))
        else:
            self._settle(FetchFailed(Reason.UNREACHABLE, _told(exc)))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the headers that say how long the answer is and what it is packed in."""
        if self._in_body:
            return
        match name.lower():
            case b"content-length":
                self._length = int(value)
            case b"transfer-encoding":
                self._chunked = value.strip().lower().endswith(b"chunked")
            case b"content-encoding":
                self.encoding = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Refuse an answer that is no use before its body comes."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._length, self._chunked, self.encoding = None, False, ""
            return
        self._in_body = True
        if status != 200:
            self._settle(FetchFailed(Reason.HTTP_STATUS, f"status {status}"))
        elif self._length is not None and self._length > self._limit:
            self._settle(self._too_large())
        elif self._length is None and not self._chunked:
            detail = "neither a length nor chunks tell where the answer ends"
            self._settle(FetchFailed(Reason.INCOMPLETE, detail))

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Settle with the body, unless this was only a 1xx answer before the answer."""
        if self._in_body:
            self._settle(b"".join(self._body))

    def _too_large(self) -> FetchFailed:
        return FetchFailed(Reason.TOO_LARGE, f"more than {self._limit} bytes")
