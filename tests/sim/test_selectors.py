import pytest

from exporter.sim import selectors

POD = {"k8s-app": "aws-node", "tier": "node"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("k8s-app=aws-node", True),
        ("k8s-app==aws-node", True),
        ("k8s-app=kube-proxy", False),
        ("k8s-app!=kube-proxy", True),
        ("missing!=x", True),
        ("k8s-app=aws-node,tier=node", True),
        ("k8s-app=aws-node,tier=pod", False),
        ("k8s-app in (kube-proxy, aws-node)", True),
        ("k8s-app notin (kube-proxy,aws-node)", False),
        ("missing notin (a)", True),
        ("tier", True),
        ("missing", False),
        ("!missing", True),
        ("!tier", False),
    ],
)
def test_a_label_selector_holds_as_in_kubernetes(text: str, holds: bool) -> None:
    assert selectors.labels(text)(POD) is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("spec.hostNetwork=true", True),
        ("spec.hostNetwork!=true", False),
        ("spec.hostNetwork=true,spec.nodeName=other", False),
    ],
)
def test_a_field_selector_holds_as_in_kubernetes(text: str, holds: bool) -> None:
    known = frozenset({"spec.hostNetwork", "spec.nodeName"})
    values = {"spec.hostNetwork": "true", "spec.nodeName": "one"}
    assert selectors.fields(text, known)(values) is holds


@pytest.mark.parametrize("text", ["spec.containers=x", "spec.hostNetwork"])
def test_a_field_that_cannot_be_selected_on_is_refused(text: str) -> None:
    with pytest.raises(selectors.BadSelector, match="field label not supported"):
        selectors.fields(text, frozenset({"spec.hostNetwork"}))


def test_a_label_selector_that_is_none_is_refused() -> None:
    with pytest.raises(selectors.BadSelector, match="unable to parse requirement: a b c"):
        selectors.labels("a b c")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("metadata.name=aws-node", "aws-node"),
        ("spec.hostNetwork=true, metadata.name==aws-node", "aws-node"),
        ("metadata.name!=aws-node", None),
        ("metadata.name=a,metadata.name=b", None),
        ("metadata.namespace=kube-system", None),
    ],
)
def test_a_field_selector_may_ask_for_one_name(text: str, found: str | None) -> None:
    assert selectors.name(text) == found
