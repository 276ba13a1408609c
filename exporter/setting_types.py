"""The types of settings: what is accepted for each, and what is said of anything else."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

SOURCES = ("ipamd", "ec2", "eks")


def _boolean(value: object) -> object:
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if isinstance(value, str):
        if value.lower() not in words:
            raise ValueError("must be one of yes, no, true, false, 1, 0")
        return words[value.lower()]
    return value


def _number(value: object) -> object:
    """YAML's yes and no are no numbers, whatever Python makes of them."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _list(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _address(value: object) -> object:
    host, colon, port = str(value).rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError("must be HOST:PORT or :PORT, such as :61681 or 127.0.0.1:61681")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("an IPv6 host stands in brackets, such as [::1]:61681")
    return value


def _address_or_none(value: object) -> object:
    return _address(value) if value != "" else value


def _sources(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in SOURCES]
    if unknown:
        raise ValueError(f"has no source {', '.join(unknown)}; there are {', '.join(SOURCES)}")
    return names


def _introspection(value: object) -> object:
    """YAML reads a plain `off` as no."""
    return "off" if value is False else value


def _namespace(name: str) -> str:
    """PutMetricData, API reference."""
    if not re.fullmatch(r"[\w./#-][\w./#: -]{0,254}", name, re.ASCII) or name.startswith("AWS/"):
        raise ValueError(
            "must be up to 255 letters, digits, blanks and . - _ / # : and begin neither with a "
            "colon nor with AWS/"
        )
    return name


Boolean = Annotated[bool, BeforeValidator(_boolean)]

Names = Annotated[tuple[str, ...], BeforeValidator(_list)]
Sources = Annotated[Names, AfterValidator(_sources)]
Address = Annotated[str, BeforeValidator(_address)]
AddressOrNone = Annotated[str, BeforeValidator(_address_or_none)]
Introspection = Annotated[Literal["auto", "off"], BeforeValidator(_introspection)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_number)]
Interval = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_number)]
History = Annotated[Seconds, Field(le=21_600)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_number)]
Port = Annotated[Count, Field(le=65535)]
Namespace = Annotated[str, AfterValidator(_namespace)]
