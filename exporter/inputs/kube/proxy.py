"""Which proxy the environment asks for on the way to the API server; nodes never go through one.

aiohttp's own reading of the environment knows no networks in `NO_PROXY`, where the address of an
API server usually is, and looks into `~/.netrc` at each request.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy for a URL, None where it is to be reached directly."""
    parts = urlsplit(url)
    proxy = _variable(environ, f"{parts.scheme}_proxy")
    if not proxy or _bypassed(parts.hostname or "", _variable(environ, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


def _bypassed(host: str, exceptions: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    names = [it.strip().lower() for it in exceptions.split(",") if it.strip()]
    return any(_covers(name, host.lower(), address) for name in names)


def _covers(name: str, host: str, address: _Address | None) -> bool:
    if name == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
    suffix = name.removeprefix("*").removeprefix(".")
    return host.endswith(f".{suffix}") or (host == suffix and not name.startswith((".", "*")))


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
