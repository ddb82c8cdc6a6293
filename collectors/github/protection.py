"""What protects a branch: rules from classic protection and from rulesets, in one form, each with its source."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from collectors.contract import Personal, Record

Origin = Literal["classic", "repository", "organization", "enterprise"]


class Bypass(Record):
    """Who may pass a source's rules by."""

    kind: str = Field(
        description="`user`, `team`, `app`, `repository_role`, `organization_owner`, `enterprise_owner`, `deploy_key` "
        "or `administrator`."
    )
    name: str | None = Field(description="The slug or role; null for users, and where the kind has no names.")
    user: Personal | None = Field(description="The user's login; null where the kind is another.")
    mode: str = Field(description="`always`, `pull_request` (only by one), or `force_push` (only those).")


class Rule(Record):
    """One rule that holds for the branch."""

    type: str = Field(description="GitHub's name of the rule, in lower case, as in `required_status_checks`.")
    origin: Origin = Field(description="Classic branch protection, or whose ruleset.")
    source: str = Field(description="The pattern of the classic rule, or the name of the ruleset.")
    parameters: dict[str, Any] = Field(description="The rule's settings that are read; empty where it has none.")


class RuleSource(Record):
    """A classic protection rule or a ruleset that holds for the branch."""

    origin: Origin = Field(description="Classic branch protection, or whose ruleset.")
    source: str = Field(description="The pattern of the classic rule, or the name of the ruleset.")
    owner: str | None = Field(description="The repository, organization or enterprise that it belongs to.")
    id: int | None = Field(description="GitHub's id of it.")
    bypass_actors: list[Bypass] | None = Field(
        description="Who may pass it by; null where GitHub does not show this identity a ruleset's list."
    )
    enforced_for_admins: bool | None = Field(
        description="Whether it binds administrators too; null where the bypass actors are not shown."
    )


def classic_rules(protection: Mapping[str, Any]) -> Iterator[Rule]:
    """A classic protection rule as the ruleset rules that it amounts to."""
    for kind, parameters in _classic(protection):
        yield Rule(type=kind, origin="classic", source=protection["pattern"], parameters=parameters)


def _classic(protection: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if protection["requiresApprovingReviews"]:
        yield "pull_request", _reviews(protection)
    if protection["requiresStatusChecks"]:
        checks = sorted(check["context"] for check in protection["requiredStatusChecks"] or [])
        yield "required_status_checks", {"checks": checks, "strict": protection["requiresStrictStatusChecks"]}
    if protection["requiresDeployments"]:
        yield "required_deployments", {"environments": protection["requiredDeploymentEnvironments"] or []}
    if not protection["allowsForcePushes"]:
        yield "non_fast_forward", {}
    if not protection["allowsDeletions"]:
        yield "deletion", {}
    for field, kind in PLAIN.items():
        if protection[field]:
            yield kind, {}


PLAIN = {
    "requiresCommitSignatures": "required_signatures",
    "requiresLinearHistory": "required_linear_history",
    "requiresConversationResolution": "required_review_thread_resolution",
    "lockBranch": "lock_branch",
    "restrictsPushes": "update",
    "blocksCreations": "creation",
}


def _reviews(protection: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "required_approving_review_count": protection["requiredApprovingReviewCount"] or 0,
        "dismiss_stale_reviews_on_push": protection["dismissesStaleReviews"],
        "require_code_owner_review": protection["requiresCodeOwnerReviews"],
        "require_last_push_approval": protection["requireLastPushApproval"],
        "required_review_thread_resolution": protection["requiresConversationResolution"],
    }


def classic_source(protection: Mapping[str, Any], repository: str) -> RuleSource:
    """Where classic rules come from, and whom they let by."""
    administrators = [] if protection["isAdminEnforced"] else [_bypass_of("administrator", None, "always")]
    allowed = [
        _allowed(allowance["actor"], mode)
        for field, mode in (
            ("bypassPullRequestAllowances", "pull_request"),
            ("bypassForcePushAllowances", "force_push"),
        )
        for allowance in protection[field]["nodes"] or []
    ]
    return RuleSource(
        origin="classic",
        source=protection["pattern"],
        owner=repository,
        id=protection["databaseId"],
        bypass_actors=administrators + allowed,
        enforced_for_admins=protection["isAdminEnforced"],
    )


def _allowed(actor: Mapping[str, Any] | None, mode: str) -> Bypass:
    actor = actor or {}
    kind = str(actor.get("__typename", "unknown")).lower()
    if kind == "user":
        return Bypass(kind=kind, name=None, user=actor.get("login"), mode=mode)
    return _bypass_of(kind, actor.get("login") or actor.get("combinedSlug") or actor.get("slug"), mode)


def _bypass_of(kind: str, name: str | None, mode: str) -> Bypass:
    """Of anything but a user."""
    return Bypass(kind=kind, name=name, user=None, mode=mode)


def ruleset_rule(rule: Mapping[str, Any], source: RuleSource) -> Rule:
    """A rule of a ruleset."""
    return Rule(
        type=rule["type"].lower(),
        origin=source.origin,
        source=source.source,
        parameters=_parameters(rule["parameters"] or {}),
    )


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("__typename") == "PullRequestParameters":
        return {
            "required_approving_review_count": given["requiredApprovingReviewCount"],
            "dismiss_stale_reviews_on_push": given["dismissStaleReviewsOnPush"],
            "require_code_owner_review": given["requireCodeOwnerReview"],
            "require_last_push_approval": given["requireLastPushApproval"],
            "required_review_thread_resolution": given["requiredReviewThreadResolution"],
        }
    if given.get("__typename") == "RequiredStatusChecksParameters":
        checks = sorted(check["context"] for check in given["requiredStatusChecks"])
        return {"checks": checks, "strict": given["strictRequiredStatusChecksPolicy"]}
    if given.get("__typename") == "RequiredDeploymentsParameters":
        return {"environments": given["requiredDeploymentEnvironments"]}
    return {}


def ruleset_source(ruleset: Mapping[str, Any]) -> RuleSource:
    """A ruleset, and whom it lets by."""
    owner = ruleset["source"]
    actors = None if ruleset["bypassActors"] is None else [_bypass(each) for each in ruleset["bypassActors"]["nodes"]]
    return RuleSource(
        origin=owner["__typename"].lower(),
        source=ruleset["name"],
        owner=owner.get("nameWithOwner") or owner.get("login") or owner.get("slug"),
        id=ruleset["databaseId"],
        bypass_actors=actors,
        enforced_for_admins=None if actors is None else not any(_administrator(each) for each in actors),
    )


def _bypass(given: Mapping[str, Any]) -> Bypass:
    mode = (given["bypassMode"] or "always").lower()
    for field, kind in (
        ("organizationAdmin", "organization_owner"),
        ("enterpriseOwner", "enterprise_owner"),
        ("deployKey", "deploy_key"),
    ):
        if given[field]:
            return _bypass_of(kind, None, mode)
    if given["repositoryRoleName"]:
        return _bypass_of("repository_role", given["repositoryRoleName"], mode)
    return _allowed(given["actor"], mode)


def _administrator(bypass: Bypass) -> bool:
    return bypass.kind in ("organization_owner", "enterprise_owner") or (bypass.kind, bypass.name) == (
        "repository_role",
        "admin",
    )
