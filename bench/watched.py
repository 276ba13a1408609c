"""A daemon under watch, as a measurement sees it: its process, its notes, and its /metrics."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.notes import CYCLE, Notes, Span
from bench.peers import World, eventually
from bench.processes import DAEMON_CORE, Child, cpu_seconds, free_port, peak_mib, running

# What Prometheus 2.42 asks with.
PROMETHEUS = {
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
    "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}
_READ = 'vpc_cni_cluster_nodes{state="read"} '
_HTTP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a daemon is watched: cycles on demand or by its interval, with its loop probed or not,
    its objects counted or not, all garbage collected every `full_every` seconds or each hour."""

    on_demand: bool = False
    lag: bool = True
    objects: bool = False
    full_every: float | None = None
    core: int | None = DAEMON_CORE

    def flags(self) -> tuple[str, ...]:
        """Return the flags of `bench.daemon`."""
        return (
            *(("--on-demand",) if self.on_demand else ()),
            *(() if self.lag else ("--no-lag",)),
            *(("--objects",) if self.objects else ()),
            *((f"--full-every={self.full_every}",) if self.full_every is not None else ()),
        )


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of /metrics: when it was asked for, and the seconds until it was whole."""

    began: float
    seconds: float
    body: bytes


@dataclass(slots=True)
class Watched:
    """The daemon."""

    process: Child
    port: int
    notes: Notes
    began: float

    def ask(self, work: str) -> None:
        """Have a daemon on demand do a piece of work of this kind once more."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{work}\n".encode())
        self.process.stdin.flush()

    def again(self, work: str) -> Span:
        """Have a daemon on demand do a piece of work once more, and return it once it is done."""
        self.notes.read()
        done = len(self.notes.of(work))
        self.ask(work)
        return self.wait_for(work, done + 1)

    def cycle(self) -> Span:
        """Have a daemon on demand run one more cycle, and return it."""
        return self.again(CYCLE)

    def wait_for(self, work: str, count: int) -> Span:
        """Return the piece of work of this kind that makes it so many, once it is done."""

        def done() -> bool:
            self.notes.read()
            return len(self.notes.of(work)) >= count

        eventually(done, self.process, f"{count} times: {work}")
        return self.notes.of(work)[count - 1]

    def ready(self) -> float:
        """Return after how many seconds /metrics told of nodes that were read."""

        def told() -> bool:
            with contextlib.suppress(OSError):
                text = gzip.decompress(self.scrape().body).decode()
                _, found, rest = text.partition(f"\n{_READ}")
                return bool(found) and float(rest.partition("\n")[0]) > 0
            return False

        eventually(told, self.process, "/metrics tells of nodes that were read")
        return time.monotonic() - self.began

    def scrape(self, connection: http.client.HTTPConnection | None = None) -> Scrape:
        """Return one answer to Prometheus's request, on a connection of its own or a kept one."""
        used = connection or self.connection()
        began = time.monotonic()
        used.request("GET", "/metrics", headers=PROMETHEUS)
        body = used.getresponse().read()
        seconds = time.monotonic() - began
        if connection is None:
            used.close()
        return Scrape(began, seconds, body)

    def text(self) -> str:
        """Return the other format of /metrics, as it stands there for people."""
        used = self.connection()
        with contextlib.closing(used):
            used.request("GET", "/metrics")
            return used.getresponse().read().decode()

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection that is not open yet."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_HTTP_SECONDS)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the daemon has used."""
        return cpu_seconds(self.process.pid)

    def peak_mib(self) -> float:
        """Return the most memory that the daemon has had resident, its children's too."""
        return peak_mib(self.process.pid)


@contextlib.contextmanager
def watched(
    world: World, *peers: str, options: Options | None = None, **settings: str
) -> Iterator[Watched]:
    """Run the daemon against a world's fleet and these peers; it is ended when this is left."""
    options = options or Options()
    file = world.folder / f"notes-{time.monotonic_ns()}"
    log = file.with_suffix(".log")
    port = free_port()
    given = {"EXPORTER_LISTEN_ADDRESS": f"127.0.0.1:{port}", **world.settings(*peers), **settings}
    if options.on_demand:
        # Whoever asks for cycles wants them at once.
        given = {"EXPORTER_INTERVAL": "0.01", **given}
    command = ["bench.daemon", *options.flags(), str(file)]
    began = time.monotonic()
    with running(command, given, core=options.core, log=log) as process:
        try:
            yield Watched(process, port, Notes(file), began)
        except SystemExit as failure:
            raise SystemExit(f"{failure}\n{_tail(log)}") from failure


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


class Scraper:
    """Asks for /metrics again and again on one connection, from a thread of its own."""

    def __init__(self, daemon: Watched, pause: float) -> None:
        """Ask `daemon`, with a pause of so many seconds after each answer."""
        self.scrapes: list[Scrape] = []
        self._daemon = daemon
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Scraper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        with contextlib.closing(self._daemon.connection()) as connection:
            while not self._stop.wait(self._pause):
                found = self._daemon.scrape(connection)
                # What was answered does not matter here, and would be gigabytes.
                self.scrapes.append(Scrape(found.began, found.seconds, b""))
