"""Evidence of how branches are protected."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.errors import AccessDenied, Omitted
from collectors.github.graphql import Node
from collectors.github.protection import (
    Rule,
    RuleSource,
    classic_rules,
    classic_source,
    ruleset_rule,
    ruleset_source,
)
from collectors.github.queries import ADMINISTRATION, DEFAULT_BRANCHES, METADATA
from collectors.github.refusals import refusal
from collectors.github.targets import Organization

PATH = ("organization", "repositories")
PAGE = 25


class BypassHidden(AccessDenied):
    remedy = "Read with an identity that may edit the ruleset, or attest its bypass list by hand."


class BranchProtection(Record):
    """What holds for the default branch of one repository, all sources together."""

    repository: str = Field(description="The repository, as owner/name.")
    repository_id: int | None = Field(description="GitHub's id of the repository.")
    visibility: str = Field(description="`public`, `internal` or `private`.")
    archived: bool = Field(description="Whether the repository is archived, and so read-only.")
    fork: bool = Field(description="Whether the repository is a fork.")
    branch: str | None = Field(description="The default branch; null where the repository is empty.")
    protected: bool = Field(description="Whether any rule at all holds for the branch.")
    required_reviews: int = Field(description="How many approvals a pull request needs; 0 where it needs none.")
    pull_request_required: bool = Field(description="Whether changes must come by pull request.")
    dismiss_stale_reviews: bool = Field(description="Whether a push takes earlier approvals back.")
    code_owner_review: bool = Field(description="Whether code owners must approve.")
    last_push_approval: bool = Field(description="Whether somebody else than the last pusher must approve.")
    required_checks: list[str] = Field(description="The status checks that must pass, from all sources.")
    strict_checks: bool = Field(description="Whether the branch must be up to date before it is merged.")
    force_push_blocked: bool = Field(description="Whether force pushes are refused.")
    deletion_blocked: bool = Field(description="Whether deleting the branch is refused.")
    signed_commits: bool = Field(description="Whether commits must be signed.")
    linear_history: bool = Field(description="Whether merge commits are refused.")
    enforced_for_admins: bool | None = Field(
        description="Whether every source binds administrators too; null where that is not shown, or nothing holds."
    )
    sources: list[RuleSource] = Field(description="The classic rule and the rulesets that hold for the branch.")
    rules: list[Rule] = Field(description="Each rule that holds, with where it comes from.")


@evidence(METADATA, ADMINISTRATION)
def protection(organization: Organization) -> Iterator[BranchProtection | Gap]:
    """The effective protection of the default branch of every repository: classic protection and the active rulesets
    of repository, organization and enterprise together, with who may bypass them.

    Archived repositories and forks say so. A repository whose protection is hidden is a gap.
    """
    hidden: set[int | None] = set()
    pages = organization.pages(DEFAULT_BRANCHES, PATH, {"login": organization.login}, size=PAGE)
    for page in pages:
        yield from (fault.error.gap() for fault in page.faults)
        selected = [node for node in page.nodes if node.value is None or organization.selects(node.value)]
        yield from (fault.error.gap(node.repository) for node in selected for fault in node.faults)
        whole = [node for node in selected if not node.faults]
        for seen in organization.each(whole, partial(_look, organization), resource=lambda node: node.repository):
            yield seen
            if isinstance(seen, BranchProtection):
                yield from _hidden(seen, hidden)
    yield from organization.unseen()


def _look(organization: Organization, node: Node) -> BranchProtection:
    if node.value is None:
        raise AccessDenied("the repository is not shown", operation=DEFAULT_BRANCHES.operation, permission=METADATA)
    _require_whole(node.value)
    branch = node.value["defaultBranchRef"]
    if branch is not None and branch["branchProtectionRule"] is None and not organization.administers(node.value):
        _require_unprotected(organization, node.value["nameWithOwner"], branch["name"])
    return _record(node.value)


def _require_unprotected(organization: Organization, repository: str, branch: str) -> None:
    """Raises where classic protection is hidden: GraphQL answers null for "none" and for "not yours to see"."""
    operation = "GET /repos/{owner}/{repo}/branches/{branch}/protection"
    owner, _, name = repository.partition("/")
    reply = organization.reply(operation, permission=ADMINISTRATION, owner=owner, repo=name, branch=branch)
    if reply.status == HTTPStatus.NOT_FOUND and reply.message.lower() == "branch not protected":
        return
    raise refusal(reply, operation, ADMINISTRATION, absent=AccessDenied) or AccessDenied(
        "GraphQL does not show the protection that REST does", operation=operation, permission=ADMINISTRATION
    )


def _require_whole(repository: Mapping[str, Any]) -> None:
    """Raises where rules are not shown, or more than one page of them: a part would read as the whole."""
    branch = repository["defaultBranchRef"]
    connections = {"rulesets": repository["rulesets"]} if branch is None else _connections(repository, branch)
    for name, found in connections.items():
        if found is None:
            message = f"the {name} of the repository are not shown"
            raise AccessDenied(message, operation=DEFAULT_BRANCHES.operation, permission=METADATA)
        if found["totalCount"] > len(found["nodes"] or ()):
            message = f"{found['totalCount']} {name}, of which {len(found['nodes'] or ())} were read"
            raise Omitted(message, operation=DEFAULT_BRANCHES.operation)


def _connections(repository: Mapping[str, Any], branch: Mapping[str, Any]) -> dict[str, Mapping[str, Any] | None]:
    found = {"rulesets": repository["rulesets"], "rules": branch["rules"]}
    if branch["branchProtectionRule"] is not None:
        found["pull request bypasses"] = branch["branchProtectionRule"]["bypassPullRequestAllowances"]
        found["force push bypasses"] = branch["branchProtectionRule"]["bypassForcePushAllowances"]
    for ruleset in _nodes(repository["rulesets"]):
        if ruleset["bypassActors"] is not None:  # which is a gap of its own
            found[f"bypass actors of ruleset {ruleset['name']}"] = ruleset["bypassActors"]
    return found


def _nodes(connection: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return [node for node in (connection or {}).get("nodes") or () if node is not None]


def _record(repository: Mapping[str, Any]) -> BranchProtection:
    branch = repository["defaultBranchRef"] or {"name": None, "rules": None, "branchProtectionRule": None}
    classic = branch["branchProtectionRule"]
    rulesets = {each["id"]: ruleset_source(each) for each in _nodes(repository["rulesets"])}
    active = [(rule, _source(rule, rulesets)) for rule in _nodes(branch["rules"])]
    rules = [ruleset_rule(rule, source) for rule, source in active]
    sources = list({source.id: source for _, source in active}.values())
    if classic is not None:
        rules = [*classic_rules(classic), *rules]
        sources = [classic_source(classic, repository["nameWithOwner"]), *sources]
    return BranchProtection(
        repository=repository["nameWithOwner"],
        repository_id=repository["databaseId"],
        visibility=repository["visibility"].lower(),
        archived=repository["isArchived"],
        fork=repository["isFork"],
        branch=branch["name"],
        sources=sources,
        rules=rules,
        **_effect(rules, sources),
    )


def _source(rule: Mapping[str, Any], rulesets: Mapping[str, RuleSource]) -> RuleSource:
    source = rulesets.get((rule["repositoryRuleset"] or {}).get("id", ""))
    if source is None:
        message = f"a rule {rule['type'].lower()} holds, but the ruleset that it comes from is not shown"
        raise AccessDenied(message, operation=DEFAULT_BRANCHES.operation, permission=ADMINISTRATION)
    return source


def _effect(rules: Sequence[Rule], sources: Sequence[RuleSource]) -> dict[str, Any]:
    """All rules together: GitHub lets the strictest win."""
    types = {rule.type for rule in rules}
    reviews = [rule.parameters for rule in rules if rule.type == "pull_request"]
    checks = [rule.parameters for rule in rules if rule.type == "required_status_checks"]
    return {
        "protected": bool(rules),
        "required_reviews": max((each.get("required_approving_review_count", 0) for each in reviews), default=0),
        "pull_request_required": "pull_request" in types,
        "dismiss_stale_reviews": any(each.get("dismiss_stale_reviews_on_push") for each in reviews),
        "code_owner_review": any(each.get("require_code_owner_review") for each in reviews),
        "last_push_approval": any(each.get("require_last_push_approval") for each in reviews),
        "required_checks": sorted({name for each in checks for name in each.get("checks", ())}),
        "strict_checks": any(each.get("strict") for each in checks),
        "force_push_blocked": "non_fast_forward" in types,
        "deletion_blocked": "deletion" in types,
        "signed_commits": "required_signatures" in types,
        "linear_history": "required_linear_history" in types,
        "enforced_for_admins": _for_admins(sources),
    }


def _for_admins(sources: Sequence[RuleSource]) -> bool | None:
    states = {source.enforced_for_admins for source in sources}
    if False in states:
        return False
    return True if states == {True} else None


def _hidden(seen: BranchProtection, told: set[int | None]) -> Iterator[Gap]:
    """A gap for each ruleset whose bypass actors are not shown, once however many repositories it holds for."""
    for source in seen.sources:
        if source.bypass_actors is None and source.id not in told:
            told.add(source.id)
            message = f"the bypass actors of ruleset {source.source} are shown only to those who may edit it"
            yield BypassHidden(message, operation=DEFAULT_BRANCHES.operation).gap(f"{source.owner}/ruleset {source.id}")
