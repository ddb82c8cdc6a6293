"""Policies of one kind with their rules, as Okta keeps all that it decides by."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from collectors.contract import Gap
from collectors.okta.targets import Tenant, id_of

R = TypeVar("R")

READ = "okta.policies.read"
_POLICIES = "GET /api/v1/policies"
_RULES = "GET /api/v1/policies/{policyId}/rules"

Look = Callable[[dict[str, Any], list[dict[str, Any]]], R]


def each_policy(tenant: Tenant, kind: str, look: Look[R], *, identity_engine: bool = False) -> Iterator[R | Gap]:
    """`look` at every policy of a kind, as in `PASSWORD`, and its rules, both in Okta's order.

    A policy whose rules cannot be read is a gap. `identity_engine` says that only such orgs have this kind.
    """

    def with_rules(policy: dict[str, Any]) -> R:
        return look(policy, rules(tenant, id_of(policy), identity_engine=identity_engine))

    policies = tenant.pages(_POLICIES, {"type": kind}, permission=READ, identity_engine=identity_engine)
    yield from tenant.each(policies, with_rules, resource=lambda policy: f"policy {policy.get('name')}")


def rules(tenant: Tenant, policy: str, *, identity_engine: bool = False) -> list[dict[str, Any]]:
    """The rules of the policy with this id, in Okta's order."""
    named = {"policyId": policy}
    return list(tenant.pages(_RULES, named, permission=READ, identity_engine=identity_engine))


def head(thing: dict[str, Any]) -> dict[str, Any]:
    """What a policy and a rule have in common."""
    return {name: thing.get(name) for name in ("id", "name", "status", "priority")}
