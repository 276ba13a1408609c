"""Who may ask the simulated API for what: bearer tokens, each with the rules of a profile."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

_READ = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources, in the whole cluster or in one namespace.

    Where groups or names are told, only those; a list is of one name where its field selector says
    so, as the API server has it.
    """

    resources: frozenset[str]
    verbs: frozenset[str] = _READ
    namespace: str | None = None
    groups: frozenset[str] | None = None
    names: frozenset[str] = frozenset()

    def allows(self, ask: "Ask") -> bool:
        """Say whether this rule covers what is asked."""
        in_scope = self.namespace is None or self.namespace == ask.namespace
        in_group = self.groups is None or ask.group in self.groups
        named = not self.names or ask.name in self.names
        return (
            ask.resource in self.resources
            and ask.verb in self.verbs
            and in_scope
            and in_group
            and named
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request wants to do; no namespace means all of them, and no name any."""

    verb: str
    resource: str
    group: str = ""
    namespace: str | None = None
    name: str | None = None


def profiles(namespace: str) -> Mapping[str, tuple[Rule, ...]]:
    """Return the named sets of rules."""
    nodes = Rule(frozenset({"nodes"}))
    pods = Rule(frozenset({"pods"}))
    custom = Rule(frozenset({"eniconfigs", "cninodes"}))
    daemonsets = Rule(frozenset({"daemonsets"}), namespace=namespace)
    proxy = Rule(frozenset({"pods/proxy"}), frozenset({"get"}), namespace)
    own_pods = Rule(frozenset({"pods"}), namespace=namespace)
    create = frozenset({"create"})
    token_reviews = Rule(frozenset({"tokenreviews"}), create)
    access_reviews = Rule(frozenset({"subjectaccessreviews"}), create)
    full = (nodes, pods, custom, daemonsets)
    return {
        "full": full,
        "full_proxy": (*full, proxy),
        "full_reviews": (*full, token_reviews, access_reviews),
        "no_token_reviews": (*full, access_reviews),
        "no_access_reviews": (*full, token_reviews),
        "incumbent": (Rule(frozenset({"pods", "pods/proxy"})),),
        "no_nodes": (pods, custom, daemonsets),
        "no_daemonsets": (nodes, pods, custom),
        "own_pods_only": (nodes, own_pods, custom, daemonsets),
        "nothing": (),
        "granted": (),
    }


class Tokens:
    """The tokens that are valid now; each profile has one from the start."""

    def __init__(self, namespace: str) -> None:
        self._profiles = dict(profiles(namespace))
        self._profile_of: dict[str, str] = {}
        self._current = {name: self.issue(name) for name in self._profiles}

    def issue(self, profile: str) -> str:
        """Make one more token for a profile."""
        if profile not in self._profiles:
            raise ValueError(f"no profile {profile!r}; there are {', '.join(self._profiles)}")
        token = f"sim-{profile}-{secrets.token_hex(12)}"
        self._profile_of[token] = profile
        return token

    def grant(self, rules: tuple[Rule, ...]) -> None:
        """Give the profile `granted` these rules in place of those it had."""
        self._profiles["granted"] = rules

    def current(self, profile: str) -> str:
        """Return the newest token of a profile."""
        return self._current[profile]

    def rotate(self, profile: str) -> str:
        """Revoke every token of a profile and make a new one."""
        new = self.issue(profile)
        revoked = [token for token, owner in self._profile_of.items() if owner == profile]
        for token in revoked:
            if token != new:
                del self._profile_of[token]
        self._current[profile] = new
        return new

    def user(self, authorization: str) -> str | None:
        """Return the profile behind an Authorization header, or none."""
        kind, _, token = authorization.partition(" ")
        return self._profile_of.get(token.strip()) if kind.lower() == "bearer" else None

    def allows(self, profile: str, ask: Ask) -> bool:
        """Say whether a profile may do what is asked."""
        return any(rule.allows(ask) for rule in self._profiles[profile])
