"""The GitHub source where GitHub fails, is limited or shows only half: a gap or a wait, and never a shorter list."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import quote

import pytest

from tests.fakes.github import Fault, GitHub, deployments, faults, releases, tokens
from tests.github_reader import KINDS, UNTIL, Reader, period

REPOSITORIES = 12


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(REPOSITORIES) as pool:
        yield pool


@pytest.fixture
def github():
    with GitHub(repositories=REPOSITORIES, until=UNTIL) as github:
        yield github


@pytest.fixture
def reader(github, tmp_path, pool):
    with closing(Reader(github, tmp_path, pool, longest_wait=5)) as reader:
        yield reader


# ── Half of it seen ────────────────────────────────────────────────────────────────────────────────────────────────


def test_releases_outlast_what_is_not_told_of_their_files(github, reader):
    """Where an attestation cannot be read, its release is told with null, and the repository has a gap."""
    kind = KINDS["github_releases"]
    at = f"/repos/acme/service-008/attestations/{quote(releases.digest(8, 0), safe='')}"
    github.faults.append(Fault(at, 200, b"<html>"))
    seen, (gap,) = reader.read(kind, period(kind))
    attested = {(each.repository[-3:], each.tag): each.assets[0].attested for each in seen}
    assert attested == {
        ("000", "v3"): True,
        ("000", "v2"): True,
        ("004", "v3"): False,
        ("004", "v2"): False,
        ("008", "v3"): None,
        ("008", "v2"): True,
    }
    assert (gap.kind, gap.resource) == ("unavailable", "acme/service-008")


def test_statuses_that_are_not_shown_are_not_none(github, reader):
    """A deployment whose steps are null is a gap that names it, and not one without steps; the others are told."""
    github.statuses_hidden = {(3, 1)}
    kind = KINDS["github_environments_deployments"]
    seen, (gap,) = reader.read(kind, period(kind))
    assert (gap.kind, gap.permission) == ("denied", "deployments:read")
    assert gap.resource == "acme/service-003/deployment 70301"
    told = [each.id for environment in seen for each in environment.deployments if environment.repository[-3:] == "003"]
    assert len(told) == deployments.count(3) - 1
    assert all(each.statuses for environment in seen for each in environment.deployments)


@pytest.mark.parametrize("name", ["github_org_members", "github_sso_saml"])
def test_members_are_counted(github, reader, name):
    """Where GitHub counts more members than it shows, those are delivered, and a gap says how many lack."""
    github.members_hidden = 2
    seen, (gap,) = reader.read(KINDS[name])
    assert seen
    assert gap.resource == "acme/members"
    assert "counts 23, of which 21" in gap.message


# ── What fails ─────────────────────────────────────────────────────────────────────────────────────────────────────

WEBHOOKS = KINDS["github_webhooks"]
SLOW = 7200  # seconds: longer than `reader` may wait
# What each repository's list of webhooks comes to: the fault, and the kind of its gap with words of the reason.
LASTING = {
    0: (faults.too_many(), "unavailable", "rate limit"),
    1: (faults.too_many(str(SLOW)), "unavailable", "rate limit"),
    2: (faults.secondary(), "unavailable", "rate limit"),
    3: (faults.used_up(SLOW), "unavailable", "rate limit"),
    4: (faults.single_sign_on(), "denied", "SAML"),
    5: (faults.not_granted("repository_hooks"), "denied", "not accessible"),
    6: (faults.hidden(), "denied", "Not Found"),
    7: (faults.BROKEN, "unavailable", "status 502"),
    8: (faults.HTML, "unavailable", "not JSON"),
    9: (faults.NOTHING, "unavailable", "not JSON"),
    10: (faults.NOT_READY, "unavailable", "still being prepared"),
    11: (faults.moved("/repositories/1/hooks"), "unavailable", "moved"),
    12: ({"status": 200, "body": [], "cut": True}, "unavailable", "no answer"),
    13: ({"status": 200, "body": {"message": "of another kind"}}, "unavailable", "not the list"),
}


def hooks_of(number):
    return f"/repos/acme/service-{number:03d}/hooks"


def test_each_fault_is_the_gap_of_its_repository(github, reader):
    """Where a repository's list fails for good, in any of the ways that are known, that repository is a gap with its
    reason, and all others are read.
    """
    github.repositories = len(LASTING) + 2
    github.faults = [Fault(hooks_of(number), **fault) for number, (fault, _, _) in LASTING.items()]
    seen, gaps = reader.read(WEBHOOKS)
    assert [hook.repository for hook in seen] == [None, None, "acme/service-014"]
    found = {int(gap.resource[-3:]): gap for gap in gaps}
    assert {number: gap.kind for number, gap in found.items()} == {n: kind for n, (_, kind, _) in LASTING.items()}
    assert [n for n, (_, _, words) in LASTING.items() if words not in found[n].message] == []
    assert found[4].permission is None
    assert "single sign-on" in found[4].remedy
    assert {found[5].permission, found[6].permission} == {"repository_hooks:read"}


def test_what_passes_is_asked_again(github, reader):
    """A fault that passes costs a wait in sight, and nothing else: the lists are whole."""
    passing = [faults.too_many("1"), faults.used_up(1), faults.BROKEN, faults.NOT_READY, LASTING[12][0]]
    github.faults = [Fault(hooks_of(2 * place), **fault, times=1) for place, fault in enumerate(passing)]
    seen, gaps = reader.read(WEBHOOKS)
    assert (len(seen), gaps) == (tokens.HOOKS + 6, [])
    assert len(reader.waits) == len(passing)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.used_up_inside(SLOW), "unavailable"),
        (faults.used_up(SLOW), "unavailable"),
        (faults.too_many(), "unavailable"),
        (faults.single_sign_on(), "denied"),
        (faults.hidden(), "not_found"),
        (faults.moved("/graphql2"), "unavailable"),
        ({"status": 200, "body": {"data": {"organization": None}}}, "invalid"),
    ],
)
def test_a_query_that_fails_leaves_the_other_types(github, reader, fault, kind):
    """Where a list by GraphQL fails half-way, the first half is delivered with a gap, and other types are read."""
    github.repositories = 60
    github.faults = [Fault("CodeOwners", **fault, when=lambda asked: asked["after"] is not None)]
    seen, (gap,) = reader.read(KINDS["github_codeowners"])
    assert (len(seen), gap.kind, gap.resource) == (50, kind, None)
    policies, gaps = reader.read(KINDS["github_security_policy"])
    assert (len(policies), gaps) == (60, [])


@pytest.mark.parametrize("fault", [faults.single_sign_on(), faults.HTML, faults.moved("/repositories/1/repos")])
def test_repositories_that_are_not_all_listed_are_a_gap(github, reader, fault):
    """Where the second page of repositories fails, those of the first are read, and the snapshot says so."""
    github.repositories = 120
    github.faults = [Fault("/organizations/1/repos", **fault)]
    for name in ("github_repository_inventory", "github_secret_scanning"):
        seen, (gap,) = reader.read(KINDS[name])
        assert (len(seen), gap.resource, gap.operation) == (100, None, "GET /orgs/{org}/repos")


def test_a_list_within_an_object_does_not_leave_the_host(github, reader):
    """A next page on another host is refused for lists within objects, too; what else the type tells is there."""
    with GitHub() as other:
        link = {"Link": f'<{other.url}/organizations/1/installations?page=2>; rel="next"'}
        github.faults = [Fault("/orgs/acme/installations", 200, {"total_count": 2, "installations": []}, link)]
        seen, (gap,) = reader.read(KINDS["github_deploy_keys_apps"])
        assert Counter(each.kind for each in seen) == {"personal_access_token": tokens.TOKENS, "deploy_key": 4}
        assert (gap.kind, gap.resource) == ("unavailable", "acme/app installations")
        assert not other.asked


def test_what_is_refused_inside_an_answer_is_the_gap_of_its_place(github, reader):
    """Errors beside data, as of a repository behind single sign-on, are gaps of their places; the data is delivered."""
    github.refused_inside = {4: "FORBIDDEN", 5: "INTERNAL"}
    seen, gaps = reader.read(KINDS["github_repository_access"])
    assert len(seen) == REPOSITORIES - 2
    assert {gap.kind for gap in gaps} == {"denied", "unavailable"}
    assert len(gaps) == 2


# ── The limit ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_query_waits_for_the_points_that_it_costs(tmp_path, pool):
    """Where fewer points are left than a query cost before, it waits for the reset in sight; GitHub need not refuse."""
    with GitHub(members=250, until=UNTIL) as github, closing(Reader(github, tmp_path, pool)) as reader:
        github.single_sign_on = False
        github.points, github.reset_at = 3, int(time.time()) + 2
        seen, gaps = reader.read(KINDS["github_org_members"])
    assert (len(seen), gaps, github.refused) == (250, [], 0)
    assert [reason for reason, _ in reader.waits] == ["GitHub: too little is left of the rate limit"]


def test_points_that_come_too_late_are_a_gap(tmp_path, pool):
    """Where the reset is further away than may be waited for, what was read is delivered, and the rest is a gap."""
    with GitHub(members=250, until=UNTIL) as github, closing(Reader(github, tmp_path, pool, longest_wait=5)) as reader:
        github.single_sign_on = False
        github.points, github.reset_at = 3, time.time() + 600
        seen, (gap,) = reader.read(KINDS["github_org_members"])
    assert (len(seen), gap.kind, gap.resource) == (200, "unavailable", None)
    assert (github.refused, reader.waits) == (0, [])
