"""Repositories that GitHub leaves out of its lists, to an App or a token that was given some of them only."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.exit import Exit
from tests.command import make_agent
from tests.fakes.github import Fault, GitHub
from tests.github_reader import KINDS, UNTIL, Reader, app_settings, period

REPOSITORIES = 12
INVENTORY = KINDS["github_repository_inventory"]
# Whose population is not the repositories: the organization's settings, its people and its logs.
OF_THE_ORGANIZATION = {
    "github_audit_log",
    "github_org_default_permissions",
    "github_org_members",
    "github_org_two_factor",
    "github_ruleset_bypass_log",
    "github_sso_saml",
}
OF_REPOSITORIES = sorted(KINDS.keys() - OF_THE_ORGANIZATION)
SELECTED = "installation 34 of the App acme-evidence was given 3 selected repositories of acme; others are not seen"


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(REPOSITORIES) as pool:
        yield pool


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def github():
    with GitHub(repositories=REPOSITORIES, pulls=20, until=UNTIL) as github:
        yield github


@pytest.fixture
def as_app(github, tmp_path, pool, key):
    """Reads a type as the App, with further settings."""

    def read(name, **chosen):
        with closing(Reader(github, tmp_path, pool, **app_settings(github, tmp_path, key), **chosen)) as reader:
            return reader.read(KINDS[name], period(KINDS[name]))

    return read


# ── As an App ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", KINDS)
def test_selected_repositories_are_not_the_whole(github, as_app, name):
    """Where the App was given selected repositories, each type that is about repositories says so, and no other."""
    github.given = {0, 1, 4}
    _, gaps = as_app(name)
    told = [gap for gap in gaps if gap.message == SELECTED]
    assert len(told) == (name in OF_REPOSITORIES)
    for gap in told:
        assert (gap.kind, gap.resource) == ("denied", "acme/repositories")
        assert "Install the App for all repositories" in gap.remedy


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(given=st.sets(st.integers(0, REPOSITORIES - 1)), name=st.sampled_from(OF_REPOSITORIES), own=st.booleans())
def test_no_selection_is_ever_complete(github, as_app, given, name, own):
    """Whichever repositories the App was given, and of whichever account, no type about repositories is complete."""
    github.given, github.installed_in = given, "acme" if own else "umbrella"
    _, gaps = as_app(name)
    assert "acme/repositories" in {gap.resource for gap in gaps}


def test_all_repositories_are_the_whole(as_app):
    """An App that was given all repositories leaves no gap."""
    seen, gaps = as_app("github_repository_inventory")
    assert (len(seen), gaps) == (REPOSITORIES, [])


def test_it_takes_two_requests_a_run(github, tmp_path, pool, key):
    """However many types want to know what the App was given, GitHub is asked once."""
    github.given = {0}
    with closing(Reader(github, tmp_path, pool, **app_settings(github, tmp_path, key))) as reader:
        for name in ("github_repository_inventory", "github_branch_protection", "github_codeowners"):
            reader.read(KINDS[name])
    assert github.asked["/app/installations/34"] == github.asked["/installation/repositories"] == 1


def test_repositories_of_another_account_are_not_these(github, as_app):
    """The installation of another account sees what is public at most, and the gap says whose it is."""
    github.given, github.installed_in = set(), "umbrella"
    seen, (gap,) = as_app("github_repository_inventory")
    assert {each.visibility for each in seen} == {"public"}
    assert "is in umbrella, not in acme" in gap.message
    assert "installation_id" in gap.remedy


@pytest.mark.parametrize(
    ("fault", "kind"),
    [({"status": 404, "body": {"message": "Not Found"}}, "not_found"), ({"status": 502}, "unavailable")],
)
def test_what_the_app_was_given_may_not_be_told(github, as_app, fault, kind):
    """Where GitHub does not tell of the installation, it is not taken for one of all repositories."""
    github.faults.append(Fault("/app/installations/34", **fault))
    seen, (gap,) = as_app("github_repository_inventory")
    assert len(seen) == REPOSITORIES
    assert (gap.kind, gap.resource) == (kind, "acme/repositories")


def test_people_reach_more_than_is_seen(github, as_app):
    """An outside collaborator's repositories say that they may not be all of them."""
    github.given = {0}
    seen, _ = as_app("github_outside_collaborators")
    assert {each.repositories_complete for each in seen} == {False}


# ── On purpose ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_repositories_that_are_named_are_meant(github, as_app):
    """Where the configuration names each repository, and each is shown, nothing lacks."""
    github.given = {0, 1}
    seen, gaps = as_app("github_repository_inventory", repositories=["service-000", "Service-001"])
    assert [each.repository for each in seen] == ["acme/service-000", "acme/service-001"]
    assert gaps == []


def test_a_named_repository_that_is_not_shown_is_a_gap(github, as_app):
    """A repository that the configuration names and GitHub does not show is a gap, unless it is excluded."""
    github.given = {0}
    chosen = {"repositories": ["service-000", "service-001", "service-003"], "exclude_repositories": ["*3"]}
    seen, (gap,) = as_app("github_branch_protection", **chosen)
    assert [each.repository for each in seen] == ["acme/service-000"]
    assert (gap.kind, gap.resource) == ("not_found", "acme/service-001")


def test_a_pattern_may_mean_what_is_not_seen(github, as_app):
    """A pattern among the names can mean repositories that are not shown."""
    github.given = {0, 1, 4}
    _, (gap,) = as_app("github_repository_inventory", repositories=["service-000", "service-00?"])
    assert gap.message == SELECTED


# ── With a token ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["github_repository_inventory", "github_branch_protection"])
def test_a_token_that_is_shown_fewer_than_there_are(github, tmp_path, pool, name):
    """Where the organization counts more repositories than a token is shown, that is a gap."""
    github.given = {0, 1}
    with closing(Reader(github, tmp_path, pool)) as reader:
        seen, (gap,) = reader.read(KINDS[name])
    assert len(seen) == 2 + 4  # what is public is shown to everybody
    assert (gap.kind, gap.message) == ("denied", "acme has 12 repositories, of which 6 are shown to this token")


def test_who_is_not_told_the_count_cannot_compare(github, tmp_path, pool):
    """To whom the organization's settings are not shown GitHub says nothing of what it leaves out: there is no gap."""
    github.given, github.denied = {0, 1}, {"organization_administration"}
    with closing(Reader(github, tmp_path, pool)) as reader:
        seen, gaps = reader.read(INVENTORY)
    assert (len(seen), gaps) == (6, [])


def test_a_token_may_be_meant_for_what_is_named(github, tmp_path, pool):
    """Where the configuration names what a token was given, it does not matter how many repositories there are."""
    github.given = {0}
    with closing(Reader(github, tmp_path, pool, repositories=["service-000"])) as reader:
        seen, gaps = reader.read(INVENTORY)
    assert (len(seen), gaps) == (1, [])
    assert "/orgs/acme" not in github.asked


def test_a_count_that_cannot_be_read_is_a_gap(github, tmp_path, pool):
    """Where the answer does not tell how many are listed, they are not taken for all."""
    link = {"Link": f'<{github.url}/organizations/1/repos?page=last>; rel="last"'}
    github.faults.append(Fault("/orgs/acme/repos", 200, [{}], link, when=lambda asked: asked["per_page"] == "1"))
    with closing(Reader(github, tmp_path, pool)) as reader:
        seen, (gap,) = reader.read(INVENTORY)
    assert len(seen) == REPOSITORIES
    assert (gap.kind, gap.resource) == ("unavailable", "acme/repositories")


# ── Through the command ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_payload_is_incomplete_and_doctor_says_why(github, tmp_path, sandbox, key):
    """What is delivered of a selected installation is incomplete; doctor tells it once for all types."""
    github.given = {0, 1, 4}
    agent = make_agent(tmp_path, sandbox)
    told = "".join(f"{name} = {value!r}\n" for name, value in app_settings(github, tmp_path, key).items())
    types = ["github_repository_inventory", "github_branch_protection"]
    mapping = "".join(f'{name} = ["ctrl_ac_02"]\n' for name in types)
    collector = f'[collectors.github]\norganizations = ["acme"]\nbase_url = "{github.url}"\ntypes = {types}\n{told}'
    agent.configure(f"[controls]\ndiscover = false\n[controls.map]\n{mapping}{collector}")
    assert agent.run("collect").code == Exit.GAPS
    assert {taken.payload["collection"]["complete"] for taken in sandbox.evidence} == {False}
    found = [each for each in agent.run("doctor", "--json").lines if SELECTED in each["message"]]
    assert [(each["level"], each["subject"]) for each in found] == [("bad", "collector github, acme")]
