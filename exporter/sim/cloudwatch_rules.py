"""What CloudWatch takes in a PutMetricData call, and how it refuses the rest: all of it or nothing.

The limits are those of the API reference.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from exporter.sim.ec2_protocol import Refused

Datum = Mapping[str, Any]

MOST_METRICS = 1000
MOST_BYTES = 1_000_000
MOST_VALUES = 150
MOST_DIMENSIONS = 30
OLDEST_SECONDS = 14 * 86_400.0
NEWEST_SECONDS = 2 * 3_600.0
_LARGEST = 2.0**360
_RATES = ("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes")
_BITS = ("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits")
UNITS = frozenset(
    {"Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"}
    | {*_RATES, *_BITS, *(f"{rate}/Second" for rate in (*_RATES, *_BITS))}
)
_STATISTICS = ("SampleCount", "Sum", "Minimum", "Maximum")


def check(request: Mapping[str, Any], size: int, now: float) -> list[Datum]:
    """Return the data of a call of so many bytes, or raise `Refused` for what is wrong first."""
    if size > MOST_BYTES:
        message = f"Request size {size} exceeded {MOST_BYTES} bytes"
        raise Refused("RequestEntityTooLarge", message, status=413)
    namespace = request.get("Namespace")
    if not namespace:
        raise _missing("Namespace")
    if not _text(namespace, 255) or namespace.startswith((":", "AWS/")):
        raise _wrong("Namespace", "must not be a namespace of AWS services or begin with a colon")
    data = request.get("MetricData")
    if not isinstance(data, list) or not data:
        raise _missing("MetricData")
    if len(data) > MOST_METRICS:
        message = f"The collection MetricData must not have a size greater than {MOST_METRICS}."
        raise Refused("InvalidParameterValue", message)
    for number, datum in enumerate(data, 1):
        _check_datum(f"MetricData.member.{number}", datum, now)
    return data


def _check_datum(where: str, datum: Datum, now: float) -> None:
    name = datum.get("MetricName")
    if not name:
        raise _missing(f"{where}.MetricName")
    if not _text(name, 255):
        raise _wrong(f"{where}.MetricName", "is not a name of up to 255 ASCII characters")
    _check_dimensions(where, datum.get("Dimensions", []))
    if datum.get("Unit", "None") not in UNITS:
        raise _wrong(f"{where}.Unit", "is no unit")
    if datum.get("StorageResolution", 60) not in (1, 60):
        raise _wrong(f"{where}.StorageResolution", "must be 1 or 60")
    age = now - datum.get("Timestamp", now)
    if age > OLDEST_SECONDS:
        raise _wrong(f"{where}.Timestamp", "must specify a time within the past two weeks")
    if -age > NEWEST_SECONDS:
        raise _wrong(f"{where}.Timestamp", "must specify a time no more than two hours ahead")
    _check_values(where, datum)


def _check_dimensions(where: str, dimensions: Iterable[Mapping[str, str]]) -> None:
    pairs = [(pair.get("Name", ""), pair.get("Value", "")) for pair in dimensions]
    if len(pairs) > MOST_DIMENSIONS:
        raise _wrong(f"{where}.Dimensions", f"has more than {MOST_DIMENSIONS} members")
    for number, (name, value) in enumerate(pairs, 1):
        place = f"{where}.Dimensions.member.{number}"
        if not _text(name, 255) or name.startswith(":"):
            raise _wrong(f"{place}.Name", "is not a name of up to 255 ASCII characters")
        if not _text(value, 1024):
            raise _wrong(f"{place}.Value", "is not a text of up to 1024 ASCII characters")


def _check_values(where: str, datum: Datum) -> None:
    given = [kind for kind in ("Value", "StatisticValues", "Values") if kind in datum]
    if not given:
        raise _missing(f"{where}.Value")
    if len(given) > 1:
        message = (
            f"The parameters {where}.{given[0]} and {where}.{given[1]} are mutually exclusive and "
            "you have specified both."
        )
        raise Refused("InvalidParameterCombination", message)
    if "StatisticValues" in datum:
        _check_statistics(f"{where}.StatisticValues", datum["StatisticValues"])
    elif "Values" in datum:
        _check_array(where, datum["Values"], datum.get("Counts"))
    else:
        _check_number(f"{where}.Value", datum["Value"])


def _check_statistics(where: str, statistics: Mapping[str, float]) -> None:
    for name in _STATISTICS:
        if name not in statistics:
            raise _missing(f"{where}.{name}")
        _check_number(f"{where}.{name}", statistics[name])
    if statistics["SampleCount"] <= 0:
        raise _wrong(f"{where}.SampleCount", "must be greater than 0")
    if statistics["Minimum"] > statistics["Maximum"]:
        raise _wrong(f"{where}.Maximum", "must not be less than Minimum")


def _check_array(where: str, values: list[float], counts: list[float] | None) -> None:
    if not values or len(set(values)) > MOST_VALUES:
        raise _wrong(f"{where}.Values", f"must have 1 to {MOST_VALUES} unique members")
    if counts is not None and len(counts) != len(values):
        raise _wrong(f"{where}.Counts", "must have as many members as Values")
    for number in (*values, *(counts or ())):
        _check_number(f"{where}.Values", number)


def _check_number(where: str, number: object) -> None:
    if not isinstance(number, int | float) or not math.isfinite(number) or abs(number) > _LARGEST:
        raise _wrong(where, "is not a number between -2^360 and 2^360")


def _text(text: object, most: int) -> bool:
    """Whether it is printable ASCII with something to see in it."""
    if not isinstance(text, str) or not 0 < len(text) <= most:
        return False
    return text.isascii() and text.isprintable() and not text.isspace()


def _missing(where: str) -> Refused:
    return Refused("MissingParameter", f"The parameter {where} is required.")


def _wrong(where: str, what: str) -> Refused:
    return Refused("InvalidParameterValue", f"The parameter {where} {what}.")
