"""Writes EC2's answers: XML of its namespace, indented as EC2 indents it, from plain values.

A mapping becomes elements, a sequence becomes items, none becomes nothing. Large sets are written
item by item, so that items that did not change need not be written again.
"""

from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_START = '<?xml version="1.0" encoding="UTF-8"?>\n'
_STEP = "    "

Value = str | int | bool | None | Sequence["Value"] | Mapping[str, "Value"]


def element(name: str, value: Value, indent: str = "") -> str:
    """Write one element; a true or false is in EC2's lower case, an empty sequence is kept."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"{indent}<{name}>{escape(value)}</{name}>\n"
    if isinstance(value, bool):
        return f"{indent}<{name}>{'true' if value else 'false'}</{name}>\n"
    if isinstance(value, int):
        return f"{indent}<{name}>{value}</{name}>\n"
    if not value:
        return f"{indent}<{name}/>\n"
    deeper = indent + _STEP
    if isinstance(value, Mapping):
        inner = "".join([element(key, part, deeper) for key, part in value.items()])
    else:
        inner = "".join([element("item", part, deeper) for part in value])
    return f"{indent}<{name}>\n{inner}{indent}</{name}>\n"


def item(value: Mapping[str, Value]) -> bytes:
    """Write one item of an answer's set."""
    return element("item", value, _STEP * 2).encode()


def answer(
    action: str, request: str, sets: Mapping[str, Iterable[bytes]], *, token: str = ""
) -> bytes:
    """Write a whole answer around the items of its sets."""
    root = f"{action}Response"
    parts = [f'{_START}<{root} xmlns="{NAMESPACE}">\n'.encode()]
    parts.append(element("requestId", request, _STEP).encode())
    for name, items in sets.items():
        start = len(parts) + 1
        parts.append(f"{_STEP}<{name}>\n".encode())
        parts.extend(items)
        if len(parts) == start:
            parts[-1] = f"{_STEP}<{name}/>\n".encode()
        else:
            parts.append(f"{_STEP}</{name}>\n".encode())
    if token:
        parts.append(element("nextToken", token, _STEP).encode())
    parts.append(f"</{root}>".encode())
    return b"".join(parts)


def error(code: str, message: str, request: str) -> bytes:
    """Write an error as EC2 does: without a namespace, on one line."""
    told = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    return (
        f"{_START}<Response><Errors><Error>{told}</Error></Errors>"
        f"<RequestID>{request}</RequestID></Response>"
    ).encode()
