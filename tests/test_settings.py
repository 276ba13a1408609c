from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.settings import (
    ALIASES,
    CONFIG_VARIABLE,
    FIELDS,
    Loaded,
    Settings,
    SettingsError,
    flag,
    load,
    variable,
)


def changed(loaded: Loaded) -> dict[str, Any]:
    """The settings that are not as they are by default."""
    return loaded.settings.model_dump(exclude_defaults=True)


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return changed(load({}, environ))


def problems(environ: Mapping[str, str], flags: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as error:
        load(flags or {}, environ)
    assert str(error.value) == "\n".join(error.value.problems)
    return error.value.problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "exporter.yaml"


def reads(file: Path, content: str) -> dict[str, str]:
    """The environment that names a file of this content."""
    file.write_text(content, encoding="utf-8")
    return {CONFIG_VARIABLE: str(file)}


# What others rely on: names and defaults.
DEFAULTS = {
    "listen_address": ":61681",
    "health_address": "",
    "web_config": "",
    "token_auth": False,
    "cluster_name": "",
    "region": "",
    "namespace": "kube-system",
    "kubeconfig": "",
    "sources": ("ipamd", "ec2", "eks"),
    "interval": 30.0,
    "scrape_timeout": 5.0,
    "scrape_concurrency": 200,
    "scrape_via": "direct",
    "ipamd_metrics_port": 61678,
    "introspection": "auto",
    "ipamd_introspection_port": 61679,
    "introspection_interval": 30.0,
    "allow_loopback_targets": False,
    "ec2_subnets_interval": 60.0,
    "ec2_enis_interval": 180.0,
    "eks_interval": 900.0,
    "forecast_min_history": 3600.0,
    "cloudwatch": False,
    "cloudwatch_namespace": "Kubernetes",
    "cloudwatch_interval": 60,
    "cloudwatch_subnets": False,
    "cloudwatch_grace": 10.0,
    "metrics_allow": (),
    "metrics_deny": (),
    "node_metrics": "all",
    "legacy_metrics": False,
    "log_level": "info",
}


def test_with_nothing_set_everything_is_as_documented_and_nothing_is_said() -> None:
    loaded = load({}, {})
    assert loaded.settings.model_dump() == DEFAULTS
    assert (loaded.origins, loaded.warnings) == ({}, ())


def test_the_defaults_are_themselves_valid() -> None:
    assert Settings.model_validate(DEFAULTS) == load({}, {}).settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load({}, {}).settings.interval = 5.0


def test_a_setting_is_called_alike_everywhere() -> None:
    assert variable("scrape_via") == "EXPORTER_SCRAPE_VIA"
    assert flag("scrape_via") == "--scrape-via"


class TestPrecedence:
    def test_is_flag_over_environment_over_file_over_default(self, file: Path) -> None:
        content = "interval: 1\nscrape_timeout: 1\nscrape_concurrency: 1\n"
        environ = reads(file, content) | {"EXPORTER_INTERVAL": "2", "EXPORTER_SCRAPE_TIMEOUT": "2"}
        loaded = load({"interval": "3"}, environ)
        assert changed(loaded) == {"interval": 3, "scrape_timeout": 2, "scrape_concurrency": 1}
        assert loaded.origins == {
            "interval": "--interval",
            "scrape_timeout": "EXPORTER_SCRAPE_TIMEOUT",
            "scrape_concurrency": f"{file}: scrape_concurrency",
        }

    @pytest.mark.parametrize("alias", [pytest.param(it, id=it) for it in ALIASES])
    def test_puts_our_name_over_the_incumbents(self, alias: str) -> None:
        values = {"interval": "7", "log_level": "error", "cloudwatch": "True"}
        name = ALIASES[alias]
        ours = values.get(name, "ours")
        for environ in (
            {alias: "9", variable(name): ours},
            {variable(name): ours, alias: "9"},
        ):
            loaded = load({}, environ)
            assert str(getattr(loaded.settings, name)).removesuffix(".0") == ours
            assert loaded.origins[name] == variable(name)

    def test_puts_the_incumbents_names_over_the_file(self, file: Path) -> None:
        environ = reads(file, "cluster_name: filed\n") | {"AWS_CLUSTER_ID": "given"}
        assert from_environment(environ) == {"cluster_name": "given", "cloudwatch": True}

    def test_leaves_a_wrong_value_unsaid_where_another_overrules_it(self) -> None:
        loaded = load({"interval": "5"}, {"EXPORTER_INTERVAL": "soon"})
        assert changed(loaded) == {"interval": 5.0}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        pytest.param({"EXPORTER_INTERVAL": "0.5"}, {"interval": 0.5}, id="a fraction"),
        pytest.param(
            {
                "EXPORTER_INTROSPECTION": "off",
                "EXPORTER_IPAMD_INTROSPECTION_PORT": "61680",
                "EXPORTER_INTROSPECTION_INTERVAL": "0",
            },
            {
                "introspection": "off",
                "ipamd_introspection_port": 61680,
                "introspection_interval": 0.0,
            },
            id="introspection",
        ),
        pytest.param(
            {"EXPORTER_CLUSTER_NAME": " prod\n"}, {"cluster_name": "prod"}, id="blanks around"
        ),
        pytest.param({"EXPORTER_INTERVAL": ""}, {}, id="empty is unset"),
        pytest.param({"EXPORTER_INTERVAL": "  "}, {}, id="blank is unset"),
        pytest.param({CONFIG_VARIABLE: ""}, {}, id="no file"),
        pytest.param({"AWS_CLUSTER_ID": ""}, {}, id="an empty alias"),
        pytest.param({"EXPORTER_LEGACY_METRICS": "yes"}, {"legacy_metrics": True}, id="yes"),
        pytest.param({"EXPORTER_LEGACY_METRICS": "True"}, {"legacy_metrics": True}, id="true"),
        pytest.param({"EXPORTER_LEGACY_METRICS": "1"}, {"legacy_metrics": True}, id="1"),
        pytest.param({"EXPORTER_LEGACY_METRICS": "NO"}, {}, id="no"),
        pytest.param({"EXPORTER_LEGACY_METRICS": "false"}, {}, id="false"),
        pytest.param({"EXPORTER_LEGACY_METRICS": "0"}, {}, id="0"),
        pytest.param(
            {"EXPORTER_METRICS_DENY": "a*, b , ,c,"},
            {"metrics_deny": ("a*", "b", "c")},
            id="a list",
        ),
        pytest.param({"EXPORTER_SOURCES": "ipamd"}, {"sources": ("ipamd",)}, id="one source"),
        pytest.param({"EXPORTER_SOURCES": " ipamd , ec2,eks"}, {}, id="all sources"),
        pytest.param({"EXPORTER_SOURCES": ","}, {"sources": ()}, id="no source"),
        pytest.param(
            {"EXPORTER_EC2_SUBNETS_INTERVAL": "0.5", "EXPORTER_EC2_ENIS_INTERVAL": "90"},
            {"ec2_subnets_interval": 0.5, "ec2_enis_interval": 90.0},
            id="the intervals of EC2",
        ),
        pytest.param(
            {"EXPORTER_LISTEN_ADDRESS": "127.0.0.1:0"},
            {"listen_address": "127.0.0.1:0"},
            id="an IPv4 address",
        ),
        pytest.param(
            {"EXPORTER_LISTEN_ADDRESS": "[::1]:65535"},
            {"listen_address": "[::1]:65535"},
            id="an IPv6 address",
        ),
        pytest.param(
            {"EXPORTER_IPAMD_METRICS_PORT": "65535"}, {"ipamd_metrics_port": 65535}, id="a port"
        ),
        pytest.param(
            {"EXPORTER_HEALTH_ADDRESS": ":61682", "EXPORTER_TOKEN_AUTH": "yes"},
            {"health_address": ":61682", "token_auth": True},
            id="probes apart",
        ),
        pytest.param(
            {
                "EXPORTER_CLOUDWATCH": "yes",
                "EXPORTER_CLOUDWATCH_NAMESPACE": "Team/Kubernetes: eks #1",
                "EXPORTER_CLOUDWATCH_INTERVAL": "1",
                "EXPORTER_CLOUDWATCH_SUBNETS": "true",
                "EXPORTER_CLOUDWATCH_GRACE": "2.5",
            },
            {
                "cloudwatch": True,
                "cloudwatch_namespace": "Team/Kubernetes: eks #1",
                "cloudwatch_interval": 1,
                "cloudwatch_subnets": True,
                "cloudwatch_grace": 2.5,
            },
            id="CloudWatch",
        ),
        pytest.param({"HOME": "/nowhere", "PATH": "/bin"}, {}, id="nothing of ours"),
    ],
)
def test_variables_are_read_as_they_are_meant(
    environ: Mapping[str, str], wanted: dict[str, Any]
) -> None:
    assert from_environment(environ) == wanted


ADDRESS = "must be HOST:PORT or :PORT, such as :61681 or 127.0.0.1:61681"
NO_NUMBER = "input should be a valid number, unable to parse string as a number"
SOURCES = "there are ipamd, ec2, eks"
NO_WORD = "must be one of yes, no, true, false, 1, 0"
NAMESPACE = (
    "must be up to 255 letters, digits, blanks and . - _ / # : and begin neither with a colon "
    "nor with AWS/"
)
NO_INTEGER = "input should be a valid integer, unable to parse string as an integer"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        pytest.param("listen_address", "61681", ADDRESS, id="no colon"),
        pytest.param("listen_address", "localhost:", ADDRESS, id="no port"),
        pytest.param("listen_address", ":http", ADDRESS, id="a port in words"),
        pytest.param("listen_address", ":65536", ADDRESS, id="a port too high"),
        pytest.param(
            "listen_address",
            "::1:61681",
            "an IPv6 host stands in brackets, such as [::1]:61681",
            id="no brackets",
        ),
        pytest.param("health_address", "61682", ADDRESS, id="no colon before the probes' port"),
        pytest.param("interval", "0", "input should be greater than 0", id="no time"),
        pytest.param("interval", "-1", "input should be greater than 0", id="negative time"),
        pytest.param("interval", "inf", "input should be a finite number", id="for ever"),
        pytest.param("interval", "nan", "input should be a finite number", id="not a number"),
        pytest.param("interval", "30s", NO_NUMBER, id="a unit"),
        pytest.param("scrape_timeout", "soon", NO_NUMBER, id="a word"),
        pytest.param("scrape_concurrency", "1.5", NO_INTEGER, id="a fraction of a node"),
        pytest.param(
            "scrape_concurrency", "0", "input should be greater than or equal to 1", id="no nodes"
        ),
        pytest.param(
            "scrape_via", "proxy", "input should be 'direct' or 'apiserver'", id="another way"
        ),
        pytest.param("sources", "ipamd,s3", f"has no source s3; {SOURCES}", id="another source"),
        pytest.param(
            "sources", "EC2, ,x", f"has no source EC2, x; {SOURCES}", id="several, and in capitals"
        ),
        pytest.param("introspection", "on", "input should be 'auto' or 'off'", id="another mode"),
        pytest.param(
            "introspection_interval",
            "-1",
            "input should be greater than or equal to 0",
            id="introspection before its time",
        ),
        pytest.param("ec2_subnets_interval", "1m", NO_NUMBER, id="subnets by the minute"),
        pytest.param(
            "forecast_min_history",
            "21601",
            "input should be less than or equal to 21600",
            id="more history than is kept",
        ),
        pytest.param(
            "ec2_enis_interval", "0", "input should be greater than 0", id="ENIs all the time"
        ),
        pytest.param("cloudwatch", "on", NO_WORD, id="another word for CloudWatch"),
        pytest.param("cloudwatch_interval", "0.5", NO_INTEGER, id="a fraction of a second"),
        pytest.param("cloudwatch_namespace", "AWS/EKS", NAMESPACE, id="a namespace of AWS's"),
        pytest.param("cloudwatch_namespace", ":Kubernetes", NAMESPACE, id="a colon first"),
        pytest.param("cloudwatch_namespace", "Kubernétes", NAMESPACE, id="not in ASCII"),
        pytest.param("cloudwatch_namespace", "k" * 256, NAMESPACE, id="a long namespace"),
        pytest.param(
            "ipamd_metrics_port",
            "65536",
            "input should be less than or equal to 65535",
            id="too high",
        ),
        pytest.param(
            "allow_loopback_targets",
            "on",
            NO_WORD,
            id="another word for yes",
        ),
        pytest.param(
            "node_metrics", "some", "input should be 'all', 'problems' or 'none'", id="some nodes"
        ),
        pytest.param(
            "log_level",
            "trace",
            "input should be 'debug', 'info', 'warning' or 'error'",
            id="another level",
        ),
    ],
)
def test_a_wrong_value_is_told_with_where_it_stands(name: str, value: str, problem: str) -> None:
    shown = repr(value) if len(value) < 78 else f"{value!r:.77}..."
    said = f"{shown} is not usable: {problem}"
    assert problems({variable(name): value}) == (f"{variable(name)}: {said}",)
    assert problems({}, {name: value}) == (f"{flag(name)}: {said}",)


def test_a_long_value_is_cut_in_what_is_told() -> None:
    assert problems({}, {"interval": "x" * 200}) == (
        f"--interval: '{'x' * 76}... is not usable: {NO_NUMBER}",
    )


def test_everything_that_is_wrong_is_told_at_once(file: Path) -> None:
    environ = reads(file, "nonsense: 1\nscrape_timeout: never\n") | {
        "EXPORTER_INTERVAL": "soon",
        "METRIC_UPDATE_INTERVAL": "later",
        "EXPORTER_LISTEN_ADDRESS": "nowhere",
    }
    assert problems(environ, {"scrape_via": "proxy"}) == (
        f"{file}: nonsense is no setting",
        f"EXPORTER_LISTEN_ADDRESS: 'nowhere' is not usable: {ADDRESS}",
        f"EXPORTER_INTERVAL: 'soon' is not usable: {NO_NUMBER}",
        f"{file}: scrape_timeout: 'never' is not usable: {NO_NUMBER}",
        "--scrape-via: 'proxy' is not usable: input should be 'direct' or 'apiserver'",
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("EXPORTER_SERVICE_HOST", id="injected by Kubernetes"),
        pytest.param("EXPORTER_INTERVALL", id="misspelt"),
        pytest.param("EXPORTER_Interval", id="not in capitals"),
        pytest.param("EXPORTER_", id="nameless"),
    ],
)
def test_an_unknown_variable_is_a_warning(name: str) -> None:
    loaded = load({}, {name: "1"})
    assert changed(loaded) == {}
    assert loaded.warnings == (f"{name} is no setting and is ignored",)


class TestTheFile:
    @pytest.mark.parametrize(
        ("content", "wanted"),
        [
            pytest.param("", {}, id="empty"),
            pytest.param("# nothing yet\n", {}, id="only a comment"),
            pytest.param("interval: 10\n", {"interval": 10.0}, id="a number"),
            pytest.param("interval: '10'\n", {"interval": 10.0}, id="a number in quotes"),
            pytest.param("legacy_metrics: yes\n", {"legacy_metrics": True}, id="a boolean"),
            pytest.param("legacy_metrics: 'yes'\n", {"legacy_metrics": True}, id="a word"),
            pytest.param("introspection: off\n", {"introspection": "off"}, id="YAML's word for no"),
            pytest.param("metrics_deny: [a, b]\n", {"metrics_deny": ("a", "b")}, id="a list"),
            pytest.param(
                "metrics_deny: a, b\n", {"metrics_deny": ("a", "b")}, id="a list in words"
            ),
            pytest.param("sources: [ipamd]\n", {"sources": ("ipamd",)}, id="a list of sources"),
            pytest.param("cluster_name: été\n", {"cluster_name": "été"}, id="other letters"),
        ],
    )
    def test_is_read_as_it_is_meant(self, file: Path, content: str, wanted: dict[str, Any]) -> None:
        loaded = load({}, reads(file, content))
        assert changed(loaded) == wanted
        assert loaded.warnings == ()

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            pytest.param("nonsense: 1", "{}: nonsense is no setting", id="no setting"),
            pytest.param("1: 2", "{}: 1 is no setting", id="not even a name"),
            pytest.param("Interval: 2", "{}: Interval is no setting", id="in capitals"),
            pytest.param(
                "- interval", "EXPORTER_CONFIG: {} must hold a mapping of settings", id="a list"
            ),
            pytest.param(
                "interval 5", "EXPORTER_CONFIG: {} must hold a mapping of settings", id="a sentence"
            ),
            pytest.param(
                "interval: yes",
                "{}: interval: True is not usable: must be a number",
                id="no number but a boolean",
            ),
            pytest.param(
                "introspection: on",
                "{}: introspection: True is not usable: input should be 'auto' or 'off'",
                id="YAML's word for yes",
            ),
            pytest.param(
                "ipamd_metrics_port: on",
                "{}: ipamd_metrics_port: True is not usable: must be a number",
                id="no port but a boolean",
            ),
            pytest.param(
                "cluster_name: 12",
                "{}: cluster_name: 12 is not usable: input should be a valid string",
                id="no text but a number",
            ),
            pytest.param(
                "cluster_name:",
                "{}: cluster_name: None is not usable: input should be a valid string",
                id="nothing at all",
            ),
            pytest.param(
                "metrics_deny: [a, 1]",
                "{}: metrics_deny: 1 is not usable: input should be a valid string",
                id="no text in a list",
            ),
            pytest.param(
                "sources: [ipamd, s3]",
                f"{{}}: sources: ['ipamd', 's3'] is not usable: has no source s3; {SOURCES}",
                id="another source in a list",
            ),
            pytest.param(
                "legacy_metrics: 2",
                "{}: legacy_metrics: 2 is not usable: "
                "input should be a valid boolean, unable to interpret input",
                id="neither yes nor no",
            ),
            pytest.param(
                "namespace: ''",
                "{}: namespace: '' is not usable: string should have at least 1 character",
                id="no namespace",
            ),
        ],
    )
    def test_of_the_wrong_content_is_told_word_for_word(
        self, file: Path, content: str, problem: str
    ) -> None:
        assert problems(reads(file, content)) == (problem.format(file),)

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"a: b: c", id="no YAML"),
            pytest.param(b"cluster_name: \xff\xfe", id="no text"),
            pytest.param(b"cluster_name: !!python/object:os.system x", id="a Python object"),
            pytest.param(b"a: 1\n---\nb: 2", id="two documents"),
        ],
    )
    def test_that_is_broken_is_a_problem(self, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        (problem,) = problems({CONFIG_VARIABLE: str(file)})
        assert problem.startswith(f"EXPORTER_CONFIG: {file} cannot be read: ")

    def test_that_is_missing_is_a_problem_beside_the_others(self, file: Path) -> None:
        missing, other = problems({CONFIG_VARIABLE: str(file), "EXPORTER_INTERVAL": "soon"})
        assert missing.startswith(f"EXPORTER_CONFIG: {file} cannot be read: ")
        assert other == f"EXPORTER_INTERVAL: 'soon' is not usable: {NO_NUMBER}"


ONE_LINE = (
    "only cni-metrics-helper's variables are set, so nodes are read through the API server as "
    "it does; with EXPORTER_SCRAPE_VIA=direct and RBAC for nodes and daemonsets the exporter "
    "reads faster, and knows zones, node groups and nodes without a pod"
)
CLOUDWATCH = (
    "METRIC_UPDATE_INTERVAL, USE_PROMETHEUS set and USE_CLOUDWATCH not, so CloudWatch is on as it "
    "would be with cni-metrics-helper; EXPORTER_CLOUDWATCH=false switches it off"
)
PROMETHEUS = "USE_PROMETHEUS is accepted: /metrics is always served"


class TestTheIncumbentsVariables:
    def test_alone_mean_what_they_meant_and_reading_as_it_did(self) -> None:
        loaded = load(
            {},
            {
                "AWS_CLUSTER_ID": "prod",
                "AWS_REGION": "eu-west-1",
                "METRIC_UPDATE_INTERVAL": "45",
                "AWS_VPC_K8S_CNI_LOGLEVEL": "WARN",
            },
        )
        assert changed(loaded) == {
            "cluster_name": "prod",
            "region": "eu-west-1",
            "interval": 45.0,
            "log_level": "warning",
            "scrape_via": "apiserver",
            "cloudwatch": True,
        }
        assert loaded.warnings == (ONE_LINE,)
        theirs = "cni-metrics-helper's variables"
        assert [loaded.origins[it] for it in ("scrape_via", "cloudwatch")] == [theirs, theirs]

    @pytest.mark.parametrize(
        ("environ", "on"),
        [
            pytest.param({}, False, id="nothing set"),
            pytest.param({"AWS_REGION": "eu-west-1"}, False, id="what every pod has"),
            pytest.param({"AWS_CLUSTER_ID": "prod"}, True, id="any of them but its switch"),
            pytest.param({"USE_PROMETHEUS": "true"}, True, id="its other switch"),
            pytest.param({"USE_CLOUDWATCH": "yes"}, True, id="its switch"),
            pytest.param({"USE_CLOUDWATCH": "no", "AWS_CLUSTER_ID": "prod"}, False, id="off there"),
            pytest.param({"USE_CLOUDWATCH": " ", "AWS_CLUSTER_ID": "p"}, True, id="an empty one"),
            pytest.param(
                {"EXPORTER_CLOUDWATCH": "no", "AWS_CLUSTER_ID": "prod"}, False, id="off by ours"
            ),
            pytest.param(
                {"USE_CLOUDWATCH": "no", "EXPORTER_CLOUDWATCH": "yes"}, True, id="on by ours"
            ),
        ],
    )
    def test_switch_cloudwatch_on_as_they_did_there(
        self, environ: Mapping[str, str], on: bool
    ) -> None:
        assert load({}, environ).settings.cloudwatch is on

    @pytest.mark.parametrize(
        ("environ", "warnings"),
        [
            pytest.param({"METRIC_UPDATE_INTERVAL": "30"}, (ONE_LINE,), id="its interval"),
            pytest.param({"AWS_VPC_K8S_CNI_LOGLEVEL": "info"}, (ONE_LINE,), id="its log level"),
            pytest.param({"USE_CLOUDWATCH": "no"}, (ONE_LINE,), id="CloudWatch"),
            pytest.param(
                {"USE_PROMETHEUS": "true", "EXPORTER_SERVICE_HOST": "10.0.0.1"},
                ("EXPORTER_SERVICE_HOST is no setting and is ignored", PROMETHEUS, ONE_LINE),
                id="Prometheus, and a variable that Kubernetes injects",
            ),
        ],
    )
    def test_each_say_how_to_read_and_one_line_what_could_be_better(
        self, environ: Mapping[str, str], warnings: tuple[str, ...]
    ) -> None:
        loaded = load({}, environ)
        assert loaded.settings.scrape_via == "apiserver"
        assert loaded.warnings == warnings

    @pytest.mark.parametrize(
        ("environ", "flags"),
        [
            pytest.param({"EXPORTER_CLUSTER_NAME": "prod"}, {}, id="a variable"),
            pytest.param({}, {"cluster_name": "prod"}, id="a flag"),
        ],
    )
    def test_beside_one_of_ours_do_not_change_how_nodes_are_read(
        self, environ: Mapping[str, str], flags: Mapping[str, str]
    ) -> None:
        loaded = load(flags, {"METRIC_UPDATE_INTERVAL": "45", "USE_PROMETHEUS": "yes", **environ})
        assert changed(loaded) == {"cluster_name": "prod", "interval": 45.0, "cloudwatch": True}
        assert loaded.warnings == (PROMETHEUS, CLOUDWATCH)

    def test_beside_a_file_of_ours_do_not_change_how_nodes_are_read(self, file: Path) -> None:
        environ = reads(file, "interval: 10\ncloudwatch: no\n") | {"AWS_CLUSTER_ID": "prod"}
        assert from_environment(environ) == {"cluster_name": "prod", "interval": 10.0}
        assert load({}, environ).warnings == ()

    def test_are_read_without_the_blanks_around_them(self) -> None:
        assert load({}, {"AWS_CLUSTER_ID": " prod\n"}).settings.cluster_name == "prod"

    def test_include_no_region_since_every_pod_has_one(self) -> None:
        loaded = load({}, {"AWS_REGION": "eu-west-1"})
        assert changed(loaded) == {"region": "eu-west-1"}
        assert loaded.warnings == ()

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("debug", "debug"),
            ("Info", "info"),
            ("warn", "warning"),
            ("error", "error"),
            ("fatal", "error"),
            ("verbose", "debug"),
        ],
    )
    def test_of_the_log_level_keep_their_own_words(self, theirs: str, ours: str) -> None:
        loaded = load({}, {"AWS_VPC_K8S_CNI_LOGLEVEL": theirs})
        assert loaded.settings.log_level == ours

    def test_of_a_wrong_value_are_told_by_their_own_names(self) -> None:
        assert problems({"METRIC_UPDATE_INTERVAL": "often"}) == (
            f"METRIC_UPDATE_INTERVAL: 'often' is not usable: {NO_NUMBER}",
        )


def test_every_setting_says_what_it_does() -> None:
    assert [
        name for name, field in FIELDS.items() if not (field.description or "").endswith(".")
    ] == []


def test_the_environment_is_the_process_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTER_INTERVAL", "12")
    assert changed(load({})) == {"interval": 12.0}
