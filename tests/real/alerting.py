"""The chart's rules in a real Prometheus, a real Alertmanager behind it, and what its webhook is
told."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.chart.helm import CHART, OPERATOR, of_kind, render
from tests.e2e.world import eventually, free_port, request
from tests.parts import part
from tests.real.test_prometheus import prometheus_with, query

# Always firing: where it arrives, every other alert would.
WATCHDOG = "Watchdog"
JOB = "vpc-cni-exporter"
RUNBOOK = "https://runbooks.example/vpc-cni-exporter"
_PLAIN = CHART / "files" / "rules.yaml"
_RULES = "rules.json"
# How many exporters each cluster has.
_EXPORTERS = "cluster:vpc_cni_exporter_build_info:count"

Labels = frozenset[tuple[str, str]]


def rules_of(file: Any) -> list[dict[str, Any]]:
    """Return the rules of a rule file, of all its groups."""
    return [rule for group in file["groups"] for rule in group["rules"]]


def plain_rules() -> list[dict[str, Any]]:
    """Return the rules as the chart has them before it is told anything."""
    return rules_of(yaml.safe_load(_PLAIN.read_text(encoding="utf-8")))


def chart_rules(thresholds: Mapping[str, float]) -> Any:
    """Return the rule file that the chart makes where no alert waits, and these thresholds are."""
    hasty = {it["alert"]: {"for": "0s"} for it in plain_rules() if "alert" in it}
    constants = {name: {"expr": f"vector({value})"} for name, value in thresholds.items()}
    values = {"rules": {"overrides": {**hasty, **constants}, "runbookUrl": RUNBOOK}}
    return of_kind(render(values, which="helm3", apis=OPERATOR), "PrometheusRule")["spec"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as the webhook was told of it."""

    labels: Labels
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        """Which alert it is."""
        return dict(self.labels)["alertname"]


class Webhook:
    """A receiver of Alertmanager's, which keeps every alert that ever fired."""

    def __init__(self) -> None:
        self._alerts: dict[Labels, Alert] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    @property
    def alerts(self) -> Sequence[Alert]:
        """What fired until now, each once, as it was told last."""
        with self._lock:
            return tuple(self._alerts.values())

    def __enter__(self) -> Webhook:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, payload: Mapping[str, Any]) -> None:
        with self._lock:
            for told in payload["alerts"]:
                if told["status"] == "firing":
                    labels = frozenset(told["labels"].items())
                    self._alerts[labels] = Alert(labels, told["annotations"])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                # Alertmanager leaves off in the middle when it ends.
                if len(body := self.rfile.read(length)) == length:
                    take(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Prometheus and Alertmanager as they run, from the exporters' figures to the webhook."""

    folder: Path
    rules: Any
    url: str
    webhook: Webhook

    def scrape(self, *exporters: tuple[str, str]) -> None:
        """Scrape these exporters and no others, each by its cluster's name and URL."""
        told = [
            {"targets": [url.removeprefix("http://")], "labels": {"cluster": cluster}}
            for cluster, url in exporters
        ]
        fresh = self.folder / "targets.new"
        fresh.write_text(json.dumps(told))
        fresh.replace(self.folder / "targets.json")
        wanted = {(cluster, url.removeprefix("http://")) for cluster, url in exporters}
        eventually(lambda: self._up() == wanted, f"these and no others are up: {wanted}")

    def begin(self) -> None:
        """Let alerts fire from now on, the rules' and one of our own that always does.

        What is recorded was so before: nothing is missing only for being new.
        """
        eventually(lambda: _EXPORTERS in self.recorded(), "figures are recorded")
        watchdog = {"alert": WATCHDOG, "expr": "vector(1)"}
        own = {"name": "own", "rules": [watchdog]}
        _written(self.folder, {"groups": [*self.rules["groups"], own]})
        status, text = request(f"{self.url}/-/reload", {})
        assert status == 200, text

    def recorded(self) -> set[str]:
        """Return the names of what rules have recorded until now."""
        rows = self.ask('last_over_time({__name__=~".+:.+"}[1h])')
        return {labels["__name__"] for labels, _ in rows}

    def names(self) -> set[str]:
        """Return the names of the alerts that fired until now."""
        return {it.name for it in self.webhook.alerts}

    def arrive(self, *names: str) -> None:
        """Wait until alerts of these names have arrived."""
        missing = set(names)

        def look() -> bool:
            missing.difference_update(self.names())
            return not missing

        try:
            eventually(look, "alerts arrive")
        except AssertionError as late:
            raise AssertionError(f"{late}: {sorted(missing)} do not") from None

    def told(self, name: str) -> set[Labels]:
        """Return the labels, but for the name, of what fired by a name."""
        named = ("alertname", name)
        return {it.labels - {named} for it in self.webhook.alerts if named in it.labels}

    def ask(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return what Prometheus answers to an expression now."""
        return query(self.url, expression) or []

    def _up(self) -> set[tuple[str, str]]:
        return {(it["cluster"], it["instance"]) for it, value in self.ask("up") if value == 1}


@contextlib.contextmanager
def pipeline(folder: Path, rules: Any) -> Iterator[Pipeline]:
    """Run Prometheus, which scrapes and judges every second, and Alertmanager with a webhook.

    Until it is told to begin, it records only.
    """
    (folder / "targets.json").write_text("[]")
    groups = [
        {**group, "rules": [it for it in group["rules"] if "record" in it]}
        for group in rules["groups"]
    ]
    _written(folder, {"groups": groups})
    with Webhook() as webhook, _alertmanager(folder, webhook.url) as address:
        job = {
            "job_name": JOB,
            # As the chart's monitor has it.
            "honor_labels": True,
            "file_sd_configs": [{"files": [str(folder / "targets.json")]}],
        }
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "scrape_configs": [job],
            "rule_files": [str(folder / _RULES)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]},
        }
        # Until Alertmanager is found, which takes five seconds, alerts go nowhere.
        flags = ("--web.enable-lifecycle", "--rules.alert.resend-delay=1s")
        with prometheus_with(folder, config, *flags) as url:
            yield Pipeline(folder, rules, url, webhook)


def _written(folder: Path, rules: Any) -> None:
    (folder / _RULES).write_text(json.dumps(rules))


@contextlib.contextmanager
def _alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """Run Alertmanager, which tells a webhook of every alert at once; give its address."""
    address = f"127.0.0.1:{free_port()}"
    route = {
        "receiver": "webhook",
        # Each alert is told by itself.
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }
    receiver = {"name": "webhook", "webhook_configs": [{"url": webhook}]}
    config = folder / "alertmanager.yml"
    config.write_text(json.dumps({"route": route, "receivers": [receiver]}))
    program = part("prometheus-alertmanager")
    command = [
        program,
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with (folder / "alertmanager.log").open("wb") as log:
        # Where its `usr` lies, for the templates there (tests/parts.sh).
        process = subprocess.Popen(command, stderr=log, cwd=Path(program).parents[2])
    try:
        eventually(lambda: _ready(f"http://{address}/-/ready"), "Alertmanager is ready")
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _ready(url: str) -> bool:
    try:
        return request(url)[0] == 200
    except OSError:
        return False
