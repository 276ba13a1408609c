"""The decoders of what nodes send, under Atheris: `python -m tests.fuzz.harness FOLDER [FLAGS]`.

FOLDER holds the inputs to begin with and takes those that reach new code; FLAGS are libFuzzer's,
which ends with a status other than 0 at the first crash, hang or excess of memory. The first byte
of an input chooses the decoder.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["exporter"]):
    from exporter.inputs.fetch import FetchFailed
    from exporter.inputs.introspection import decode_eniconfig, parse_enis
    from exporter.inputs.ipamd_page import parse_page

PAGE, CARDS_PAGE, ENIS, ENICONFIG = b"p", b"c", b"e", b"n"
NOW = 1_787_220_105.0


def decode(data: bytes) -> None:
    """Decode one input; what a decoder may raise is a short refusal, and nothing else."""
    kind, body = data[:1], data[1:]
    try:
        if kind == ENIS:
            for eni in parse_enis(body, NOW).enis:
                assert 0 <= eni.assigned + eni.cooldown <= eni.attached
        elif kind == ENICONFIG:
            assert 0 < len(decode_eniconfig(body)) <= 253
        else:
            several_cards = kind == CARDS_PAGE
            reading = parse_page(body, NOW, several_cards=several_cards)
            assert several_cards or 0 <= reading.assigned <= reading.attached
    except FetchFailed as failed:
        if not 0 < len(failed.detail) < 1_000:
            raise AssertionError(failed.detail) from failed


def main() -> None:
    """Run until libFuzzer has enough."""
    atheris.Setup(sys.argv, decode)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
