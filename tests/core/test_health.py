from __future__ import annotations

from exporter.core.health import Health, Source, SourceHealth
from exporter.core.model import Reason
from tests.builders import NOW, read, unread

NEW = Health("1.2.3")
UP = SourceHealth(up=True, last_success=NOW, cycle_seconds=0.2, reason="")


# Those that are read whatever the settings say.
ALWAYS = (
    Source.IPAMD,
    Source.KUBERNETES,
    Source.NODES,
    Source.DAEMONSETS,
    Source.PODS,
    Source.ENICONFIGS,
    Source.CNINODES,
)


def test_the_sources_are_a_closed_list() -> None:
    assert [source.value for source in Source] == [
        "ipamd",
        "kubernetes",
        "nodes",
        "daemonsets",
        "pods",
        "eniconfigs",
        "cninodes",
        "ec2_subnets",
        "ec2_enis",
        "reviews",
        "web_config",
        "eks",
        "cloudwatch",
    ]


def test_at_the_start_no_source_is_up_and_none_was_asked() -> None:
    assert NEW.sources == dict.fromkeys(
        ALWAYS,
        SourceHealth(up=False, last_success=None, cycle_seconds=None, reason="not asked yet"),
    )


def test_a_source_that_can_be_switched_off_joins_with_its_first_news() -> None:
    waiting = NEW.with_source(Source.EC2_ENIS, SourceHealth())
    assert list(waiting.sources) == [*ALWAYS, Source.EC2_ENIS]
    up = waiting.with_source(Source.EC2_ENIS, UP).with_source(Source.EC2_SUBNETS, UP)
    assert list(up.sources) == [*ALWAYS, Source.EC2_ENIS, Source.EC2_SUBNETS]
    assert list(NEW.sources) == list(ALWAYS)


def test_at_the_start_every_reason_has_failed_no_times() -> None:
    assert NEW.target_failures == dict.fromkeys(Reason, 0)


def test_news_of_a_source_replace_what_was_known_of_it_alone() -> None:
    health = NEW.with_source(Source.NODES, UP)
    assert health == Health("1.2.3", {**NEW.sources, Source.NODES: UP}, NEW.target_failures)
    assert list(health.sources) == list(ALWAYS)
    assert NEW.sources[Source.NODES] != UP


def test_at_the_start_nothing_was_asked_of_aws() -> None:
    assert NEW.aws_requests == {}


def test_unread_nodes_are_counted_by_reason_from_cycle_to_cycle() -> None:
    first = (unread("node-1", Reason.TIMEOUT), unread("node-2", Reason.TIMEOUT), read("node-3"))
    second = (unread("node-1", Reason.TIMEOUT), unread("node-2", Reason.MALFORMED))
    health = NEW.with_failures(first).with_failures(second)
    assert health.target_failures == {
        **dict.fromkeys(Reason, 0),
        Reason.TIMEOUT: 3,
        Reason.MALFORMED: 1,
    }
    assert NEW.target_failures == dict.fromkeys(Reason, 0)
