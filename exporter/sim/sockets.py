"""Sockets of the simulated nodes: bound ones, and a port that is free on many addresses at once."""

import socket


def bound(address: tuple[str, int]) -> socket.socket:
    """Return a socket bound to an address, not yet listening."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address)
    sock.setblocking(False)
    return sock


def held(port: int) -> socket.socket:
    """Return a socket that keeps a port of 127.0.0.1 from being chosen by others."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", port))
    return sock


def free_port(addresses: list[str]) -> int:
    """Return a port that is free on all of these addresses."""
    for _ in range(50):
        with socket.socket() as first:
            first.bind((addresses[0], 0))
            port: int = first.getsockname()[1]
        if all(_is_free(address, port) for address in addresses):
            return port
    raise OSError("no port is free on all addresses")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
