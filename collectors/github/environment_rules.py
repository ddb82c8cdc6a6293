"""What guards an environment: reviewers, a wait, and the branches that may be deployed to it."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from collectors.contract import Personal, Record
from collectors.errors import AccessDenied
from collectors.github.change_queries import ACTIONS
from collectors.github.targets import Organization

BRANCHES = "GET /repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies"
GATES = "GET /repos/{owner}/{repo}/environments/{environment_name}/deployment_protection_rules"
KNOWN = ("required_reviewers", "wait_timer", "branch_policy")


class EnvironmentReviewer(Record):
    """Somebody whose approval lets a deployment go on: one of those listed is enough."""

    kind: str = Field(description="`user` or `team`.")
    name: Personal = Field(description="The login of the user, or the slug of the team.")


class EnvironmentBranch(Record):
    """A pattern of branches or tags that may be deployed."""

    name: str = Field(description="The pattern, as in `release/*`.")
    type: str | None = Field(description="`branch` or `tag`; null where GitHub does not say.")


class EnvironmentProtection(Record):
    """The rules of one environment."""

    reviewers: list[EnvironmentReviewer] = Field(description="Who can approve a deployment; empty where nobody must.")
    prevents_self_review: bool | None = Field(
        description="Whether who began a deployment cannot approve it; null where nobody must, or GitHub does not say."
    )
    wait_minutes: int = Field(description="How long a deployment waits; 0 where it does not.")
    admins_can_bypass: bool | None = Field(
        description="Whether administrators can pass over the rules; null where GitHub does not say."
    )
    branches: str = Field(
        description="Which branches may be deployed: `all`, `protected` for those that are protected, or `selected`."
    )
    selected_branches: list[EnvironmentBranch] | None = Field(
        description="The patterns of the selected ones; null where none are selected."
    )
    gates: list[str] = Field(
        description="The slugs of the Apps that must let a deployment pass, of the gates that are enabled."
    )
    other_rules: list[str] = Field(description="The kinds of other rules that GitHub lists.")


def protection(
    organization: Organization, place: Mapping[str, Any], environment: Mapping[str, Any]
) -> EnvironmentProtection:
    """The rules of an environment of the repository at `place`, as REST lists it. Raises CollectionError."""
    rules = environment.get("protection_rules") or []
    approval: Mapping[str, Any] = next((rule for rule in rules if rule["type"] == "required_reviewers"), {})
    branches = _branches(environment.get("deployment_branch_policy"))
    return EnvironmentProtection(
        reviewers=[_reviewer(each) for each in approval.get("reviewers", ())],
        prevents_self_review=approval.get("prevent_self_review"),
        wait_minutes=max((rule["wait_timer"] for rule in rules if rule["type"] == "wait_timer"), default=0),
        admins_can_bypass=environment.get("can_admins_bypass"),
        branches=branches,
        selected_branches=_selected(organization, place, environment["name"]) if branches == "selected" else None,
        gates=_gates(organization, place, environment["name"]),
        other_rules=sorted({rule["type"] for rule in rules} - set(KNOWN)),
    )


def _reviewer(reviewer: Mapping[str, Any]) -> EnvironmentReviewer:
    named = reviewer["reviewer"]
    return EnvironmentReviewer(kind=reviewer["type"].lower(), name=named.get("login") or named["slug"])


def _branches(policy: Mapping[str, Any] | None) -> str:
    if policy is None:
        return "all"
    return "protected" if policy["protected_branches"] else "selected"


def _gates(organization: Organization, place: Mapping[str, Any], environment: str) -> list[str]:
    """Gates are not among the rules that come with an environment, so each is asked for them."""
    gates = organization.items(
        GATES,
        {},
        permission=ACTIONS,
        absent=AccessDenied,
        within="custom_deployment_protection_rules",
        environment_name=environment,
        **place,
    )
    return sorted(each["app"]["slug"] for each in gates if each["enabled"])


def _selected(organization: Organization, place: Mapping[str, Any], environment: str) -> list[EnvironmentBranch]:
    patterns = organization.items(
        BRANCHES,
        {},
        permission=ACTIONS,
        absent=AccessDenied,
        within="branch_policies",
        environment_name=environment,
        **place,
    )
    return [EnvironmentBranch(name=each["name"], type=each.get("type")) for each in patterns]
