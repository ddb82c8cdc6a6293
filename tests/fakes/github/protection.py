"""What protects the default branches: classic rules, and a ruleset of the organization."""

from typing import TYPE_CHECKING

from tests.fakes.github.answers import Answer, fault, not_found, refusal
from tests.fakes.github.connections import Resolver, whole
from tests.fakes.github.routes import route

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

RULESET = {
    "id": "RRS_org1",
    "databaseId": 41,
    "name": "Default branches",
    "source": {"__typename": "Organization", "login": "acme"},
}
BYPASS = {
    "bypassMode": "PULL_REQUEST",
    "deployKey": False,
    "enterpriseOwner": False,
    "organizationAdmin": False,
    "repositoryRoleName": None,
    "actor": {"__typename": "Team", "combinedSlug": "acme/platform"},
}
RULES = (
    {"type": "NON_FAST_FORWARD", "parameters": None},
    {
        "type": "PULL_REQUEST",
        "parameters": {
            "__typename": "PullRequestParameters",
            "requiredApprovingReviewCount": 2,
            "dismissStaleReviewsOnPush": True,
            "requireCodeOwnerReview": False,
            "requireLastPushApproval": True,
            "requiredReviewThreadResolution": False,
        },
    },
)


def _is_governed(number: int) -> bool:
    return number % 3 != 0


def _is_classic(number: int) -> bool:
    return number % 2 == 0


def rulesets(github: "GitHub", number: int) -> Resolver:
    bypass = None if github.bypass_hidden else whole(BYPASS)
    return whole(*([{**RULESET, "bypassActors": bypass}] if _is_governed(number) else []))


def active_rules(number: int) -> Resolver:
    return whole(*({**rule, "repositoryRuleset": {"id": RULESET["id"]}} for rule in RULES if _is_governed(number)))


def classic(github: "GitHub", number: int) -> dict | None:
    """The classic protection of the default branch; who lacks the permission is told of none."""
    if f"acme/service-{number:03d}" in github.forbidden_repositories:
        raise fault("FORBIDDEN", "Resource not accessible by integration")
    return _rule(number) if _is_classic(number) and "administration" not in github.denied else None


def _rule(number: int) -> dict:
    return {
        "databaseId": 700_000 + number,
        "pattern": "main",
        "isAdminEnforced": number % 4 == 0,
        "requiresApprovingReviews": True,
        "requiredApprovingReviewCount": 1 + number % 2,
        "dismissesStaleReviews": number % 4 == 0,
        "requiresCodeOwnerReviews": number % 6 == 0,
        "requireLastPushApproval": False,
        "requiresConversationResolution": False,
        "requiresStatusChecks": True,
        "requiresStrictStatusChecks": False,
        "requiredStatusChecks": [{"context": "build"}, {"context": "test"}],
        "requiresDeployments": False,
        "requiredDeploymentEnvironments": [],
        "requiresCommitSignatures": number % 8 == 0,
        "requiresLinearHistory": False,
        "allowsForcePushes": False,
        "allowsDeletions": False,
        "blocksCreations": False,
        "restrictsPushes": False,
        "lockBranch": False,
        "bypassPullRequestAllowances": whole({"actor": {"__typename": "App", "slug": "acme-release"}}),
        "bypassForcePushAllowances": whole(),
    }


@route("/{repo}/branches/main/protection", "")
def protection(github: "GitHub", _query: dict, repo: int) -> Answer | dict:
    if "administration" in github.denied:
        return not_found()
    return {"url": "…"} if _is_classic(repo) else refusal(404, "Branch not protected")
