"""Every GitHub evidence type against a whole GitHub on loopback: seen as it is, or told as a gap."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from agent.exit import Exit
from collectors.contract import Journal, journaling
from tests.command import make_agent
from tests.fakes.github import (
    GitHub,
    actions,
    alerts,
    commits,
    deployments,
    files,
    logs,
    people,
    tokens,
)
from tests.github_reader import KINDS, UNTIL, Reader, period

REPOSITORIES, PULLS = 12, 40
NUMBERS = range(REPOSITORIES)
OFF = {"github_code_scanning": {"acme/service-007"}, "github_sbom": {"acme/service-009"}}  # what is not switched on

COUNTS = {
    "github_actions_permissions": 1 + REPOSITORIES,
    "github_actions_secrets_age": 2 + sum(number % 3 for number in NUMBERS),
    "github_audit_log": logs.EVENTS,
    "github_branch_protection": REPOSITORIES,
    "github_code_scanning": sum(map(alerts.on_plan, NUMBERS)),
    "github_codeowners": REPOSITORIES,
    "github_dependabot_alerts": REPOSITORIES,
    "github_deploy_keys_apps": 4 + 2 + tokens.TOKENS,  # keys of 001, 005 (two) and 009
    "github_direct_pushes": sum(len(range(0, commits.count(number), 3)) for number in NUMBERS),
    "github_environments_deployments": 4 + 2 + 4,  # production, staging, and one that is gone
    "github_org_default_permissions": 1,
    "github_org_members": 23,
    "github_org_two_factor": 1,
    "github_outside_collaborators": len(people.CONSULTANTS),
    "github_pull_request_reviews": PULLS - 1,  # the first was merged at the instant before the period
    "github_releases": 3 * 2,
    "github_repository_access": REPOSITORIES,
    "github_repository_inventory": REPOSITORIES,
    "github_ruleset_bypass_log": logs.SUITES,
    "github_runners": 2 + sum(map(actions.has_runner, NUMBERS)),
    "github_sbom": sum(map(files.has_graph, NUMBERS)),
    "github_secret_scanning": REPOSITORIES,
    "github_security_configurations": len(alerts.IDS),
    "github_security_policy": REPOSITORIES,
    "github_signed_commits": sum(map(commits.count, NUMBERS)),
    "github_sso_saml": 1 + 23 + 1 + 8,  # the provider, its identities, a member without one, credentials
    "github_teams": 4,
    "github_webhooks": tokens.HOOKS + 6,
    "github_workflow_runs": sum(map(actions.runs, NUMBERS)),
}

# Of each type one record: by what it is found, and what it says. Of a list, how many there are in it.
FACTS = {
    "github_actions_permissions": (
        {"repository": "acme/service-003"},
        {"allowed_actions": "all", "default_workflow_permissions": "write", "patterns_allowed": None},
    ),
    "github_actions_secrets_age": ({"name": "KEY_201"}, {"repository": "acme/service-002", "age_days": 201}),
    "github_audit_log": ({"id": "doc-000129"}, {"action": "hook.create", "details": {}, "country": "DE"}),
    "github_branch_protection": (
        {"repository": "acme/service-004"},
        {"required_reviews": 2, "required_checks": 2, "force_push_blocked": True, "enforced_for_admins": True},
    ),
    "github_code_scanning": (
        {"repository": "acme/service-004"},
        {"default_setup": "configured", "open": 1, "alerts": 2, "last_tool": "CodeQL", "oldest_open_days": 5},
    ),
    "github_codeowners": (
        {"repository": "acme/service-005"},
        {"where": ".github/CODEOWNERS", "covers_all": True, "rules": 2, "errors": 1},
    ),
    "github_dependabot_alerts": (
        {"repository": "acme/service-003"},
        {"enabled": True, "security_updates": "enabled", "open": 2, "alerts": 3},
    ),
    "github_deploy_keys_apps": ({"name": "old-ci"}, {"kind": "installation", "last_used_at": None}),
    "github_direct_pushes": ({"commit": commits.oid(1, 27)}, {"branch": "main", "other_pull_requests": 0}),
    "github_environments_deployments": (
        {"repository": "acme/service-000", "environment": "production"},
        {"exists": True, "deployments": deployments.count(0) - 1},
    ),
    "github_org_default_permissions": (
        {"organization": "acme"},
        {"default_repository_permission": "read", "members_can_create_public_repositories": False},
    ),
    "github_org_members": (
        {"login": "dev-001"},
        {"role": "admin", "two_factor_enabled": False, "saml_linked": True, "saml_name_id": "dev.001@acme.example"},
    ),
    "github_org_two_factor": ({"organization": "acme"}, {"required": True, "members_without": 3, "unknown": 0}),
    "github_outside_collaborators": ({"login": "consultant"}, {"repositories": 2, "repositories_complete": True}),
    "github_pull_request_reviews": ({"number": 6}, {"merged_without_review": True, "approvers": 0, "checks": 2}),
    "github_releases": (
        {"repository": "acme/service-008", "tag": "v2"},
        {"prerelease": True, "immutable": True, "assets": 1},
    ),
    "github_repository_access": ({"repository": "acme/service-000"}, {"visibility": "private", "users": 25}),
    "github_repository_inventory": (
        {"repository": "acme/service-005"},
        {"visibility": "public", "days_since_push": 5, "license": "MIT", "custom_properties": {"tier": "3"}},
    ),
    "github_ruleset_bypass_log": ({"id": 2_400_003}, {"repository": "acme/service-003", "result": "bypass"}),
    "github_runners": ({"repository": "acme/service-007"}, {"level": "repository", "runners": 1}),
    "github_sbom": (
        {"repository": "acme/service-003"},
        {"packages": files.packages(3), "by_ecosystem": {"npm": 3, "pypi": 3}},
    ),
    "github_secret_scanning": (
        {"repository": "acme/service-001"},
        {"secret_scanning": "enabled", "push_protection": "disabled", "open": 1, "alerts": 2},
    ),
    "github_security_configurations": ({"id": 1326}, {"enforcement": "enforced", "repositories": 4}),
    "github_security_policy": (
        {"repository": "acme/service-002"},
        {"policy": True, "private_reporting": True},
    ),
    "github_signed_commits": (
        {"commit": commits.oid(1, 2)},
        {"signed": True, "verified": False, "state": "unknown_key", "kind": "ssh", "pull_requests": 1},
    ),
    "github_sso_saml": ({"kind": "provider"}, {"login": None, "identity": None}),
    "github_teams": (
        {"team": "acme/platform"},
        {"members": 23, "repositories": 12, "description": "What platform does"},
    ),
    "github_webhooks": (
        {"id": 8_002},
        {"address": "https://hooks.acme.example", "has_secret": True, "ssl_verification": True, "last_status": 200},
    ),
    "github_workflow_runs": ({"id": 14_002_119}, {"conclusion": "failure", "event": "push", "number": 1}),
}


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(REPOSITORIES) as pool:
        yield pool


@pytest.fixture
def github():
    with GitHub(repositories=REPOSITORIES, pulls=PULLS, until=UNTIL) as github:
        yield github


@pytest.fixture
def reader(github, tmp_path, pool):
    with closing(Reader(github, tmp_path, pool)) as reader:
        yield reader


def dumped(records):
    return [record.model_dump(mode="json") for record in records]


def counted(value):
    return len(value) if isinstance(value, list) else value


def test_every_type_is_here():
    """No evidence type of the source is left out."""
    assert COUNTS.keys() == FACTS.keys() == KINDS.keys()


# ── What is there is seen ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_organization_is_seen_as_it_is(reader, name):
    """Each type has a record for each thing that is there, and says of it what the server holds; no call is made that
    needs a permission which is not declared.
    """
    kind = KINDS[name]
    with journaling(Journal()) as journal:
        seen, gaps = reader.read(kind, period(kind))
    assert len(seen) == COUNTS[name]
    assert {gap.resource for gap in gaps} == OFF.get(name, set())
    assert {gap.kind for gap in gaps} <= {"not_enabled"}
    assert {use.permission for use in journal.uses.values()} - {None} <= set(kind.permissions)
    found, facts = FACTS[name]
    (record,) = [each for each in dumped(seen) if found.items() <= each.items()]
    assert {field: counted(record[field]) for field in facts} == facts


def test_lists_that_are_longer_than_a_page_are_read_whole(tmp_path, pool):
    """Of 230 members and 120 repositories every list is whole, also below a team and a repository."""
    with (
        GitHub(repositories=120, members=230, until=UNTIL) as github,
        closing(Reader(github, tmp_path, pool)) as reader,
    ):
        (team, *_), team_gaps = reader.read(KINDS["github_teams"])
        members, member_gaps = reader.read(KINDS["github_org_members"])
        github.repositories = 3
        access, access_gaps = reader.read(KINDS["github_repository_access"])
    assert (len(team.members), len(team.repositories)) == (230, 120)
    assert len({each.login for each in members}) == 230
    assert {len(each.users) for each in access[1:]} == {230}
    assert access_gaps + team_gaps + member_gaps == []


# ── What is denied is told ─────────────────────────────────────────────────────────────────────────────────────────

GRANTS = [(kind.id, permission) for kind in KINDS.values() for permission in kind.permissions]
MARKS = {"unknown", "repositories_complete"}  # fields by which a record says what of it could not be seen


@pytest.fixture(scope="module")
def wholes(tmp_path_factory, pool):
    """What each type sees where nothing is denied, and the server that it is seen on."""
    with GitHub(repositories=REPOSITORIES, pulls=PULLS, until=UNTIL) as github:
        folder = tmp_path_factory.mktemp("whole")
        with closing(Reader(github, folder, pool, archived=False)) as reader:
            yield github, {name: dumped(reader.read(kind, period(kind))[0]) for name, kind in KINDS.items()}


def fits(seen, whole):
    """Whether `seen` says nothing that `whole` does not: it is the same, or null."""
    if isinstance(seen, dict) and isinstance(whole, dict):
        partial = seen.get("repositories_complete") is False
        return all(
            field in MARKS or fits(value, whole.get(field)) or (partial and field == "repositories")
            for field, value in seen.items()
        )
    if isinstance(seen, list) and isinstance(whole, list):
        return len(seen) == len(whole) and all(map(fits, seen, whole))
    return seen is None or seen == whole


@pytest.mark.parametrize(("name", "permission"), GRANTS)
def test_what_is_denied_is_a_gap_and_never_a_record(wholes, tmp_path, pool, name, permission):
    """Without one of its permissions a type has a gap that names it, and no record says more than it did with it."""
    github, whole = wholes
    kind = KINDS[name]
    github.denied = {permission.partition(":")[0]}
    try:
        with closing(Reader(github, tmp_path, pool, archived=False)) as reader:
            seen, gaps = reader.read(kind, period(kind))
    finally:
        github.denied = set()
    assert permission in {gap.permission for gap in gaps}
    assert "denied" in {gap.kind for gap in gaps}
    for record in dumped(seen):
        assert any(fits(record, each) for each in whole[name]), record


@pytest.mark.parametrize("name", ["github_branch_protection", "github_deploy_keys_apps", "github_dependabot_alerts"])
def test_an_administrators_token_is_not_taken_for_the_administrator(wholes, tmp_path, pool, name):
    """An administrator's fine-grained token, of which GitHub does not say what it was granted, sees what a classic one
    does: where GraphQL shows nothing, REST is asked, which tells nothing from no permission.
    """
    github, whole = wholes
    kind = KINDS[name]
    github.scopes, before = None, github.scopes
    try:
        with closing(Reader(github, tmp_path, pool, archived=False)) as reader:
            seen, gaps = reader.read(kind, period(kind))
    finally:
        github.scopes = before
    assert (dumped(seen), gaps) == (whole[name], [])


# ── Through the command ────────────────────────────────────────────────────────────────────────────────────────────


def test_all_types_arrive_and_no_secret_does(tmp_path, sandbox):
    """The command delivers every type, counted, with what was called. Nothing that GitHub could give away, as secrets
    that were found, keys, hooks' addresses and hashes of tokens, is in a payload, in the state or on the screen.
    """
    with GitHub(repositories=REPOSITORIES, pulls=PULLS) as github:
        github.shows_secrets = True
        agent = make_agent(tmp_path, sandbox)
        agent.environment |= {"GITHUB_TOKEN": github.token}
        mapping = "".join(f'{name} = ["ctrl_ac_02"]\n' for name in KINDS)
        collector = f'[collectors.github]\norganizations = ["acme"]\nbase_url = "{github.url}"\n'
        agent.configure(f"[controls]\ndiscover = false\n[controls.map]\n{mapping}{collector}")
        done = agent.run("collect")
    assert done.code == Exit.GAPS, done
    payloads = {taken.payload["evidence_type"]: taken.payload for taken in sandbox.evidence}
    counts = {name: payload["collection"]["records"] for name, payload in payloads.items()}
    assert counts == {**COUNTS, "github_pull_request_reviews": PULLS}
    assert {name for name, payload in payloads.items() if not payload["collection"]["complete"]} == set(OFF)
    for payload in payloads.values():
        assert all(name.startswith(("GET /", "POST /graphql ")) for name in payload["collection"]["operations"])
    kept = b"".join(file.read_bytes() for file in agent.state.rglob("*") if file.is_file())
    for text in (json.dumps(list(payloads.values())), done.out, done.err, kept.decode("latin-1")):
        assert tokens.PLANTED not in text
        assert github.token not in text
