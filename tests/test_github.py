"""The GitHub source, against a GitHub on loopback that can fail in every way that the real one is known to."""

import io
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from graphql import parse, validate
from pydantic import ValidationError

from collectors.contract import Cancelled, Journal, Period, journaling
from collectors.errors import Unauthenticated, Unavailable
from collectors.github import SOURCE, queries
from collectors.github.branch import protection
from collectors.github.graphql import Query
from collectors.github.links import next_page
from collectors.github.org import two_factor
from collectors.github.patience import Reply, wait_after
from collectors.github.pull_request import reviews
from collectors.github.refusals import fault
from collectors.github.repository import access
from collectors.registry import evidence_types
from tests.fakes.github import Fault, GitHub, schema
from tests.github_reader import MONTH, UNTIL, Reader, app_settings

HTML = {"body": b"<html>Sign in to the guest network</html>", "headers": {"Content-Type": "text/html"}}


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub(repositories=12, until=UNTIL) as github:
        yield github


@pytest.fixture
def reader(github, tmp_path, pool) -> Iterator[Reader]:
    with closing(Reader(github, tmp_path, pool)) as reader:
        yield reader


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def app(github, tmp_path, pool, key) -> Iterator[Reader]:
    with closing(Reader(github, tmp_path, pool, **app_settings(github, tmp_path, key))) as reader:
        yield reader


# ── Repositories ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_of_120_repositories_is_seen_once(github, reader):
    """An organization of 120 repositories gives 120 records, each repository once."""
    github.repositories = 120
    seen, gaps = reader.read(protection)
    assert [each.repository for each in seen] == [f"acme/service-{number:03d}" for number in range(120)]
    assert not gaps


def test_five_hundred_repositories_take_twenty_requests(github, reader):
    """The protection of 500 repositories takes 20 requests, two to know that there are no more, and one to know what
    the token was granted; a second reading in the same run takes none.
    """
    github.repositories = 500
    assert len(reader.read(protection)[0]) == 500
    assert len(reader.read(protection)[0]) == 500
    assert sum(github.asked.values()) == 20 + 2 + 1


def test_protection_is_that_of_all_sources(reader):
    """Classic protection and an organization's ruleset are joined: the strictest wins, each rule names its source."""
    seen, _ = reader.read(protection)
    both, classic, ruleset, neither = seen[4], seen[0], seen[1], seen[3]
    assert (both.required_reviews, both.required_checks) == (2, ["build", "test"])
    assert {rule.origin for rule in both.rules} == {"classic", "organization"}
    assert [(source.origin, source.owner) for source in both.sources] == [
        ("classic", "acme/service-004"),
        ("organization", "acme"),
    ]
    assert (classic.required_reviews, classic.last_push_approval) == (1, False)
    assert [bypass.name for bypass in ruleset.sources[0].bypass_actors] == ["acme/platform"]
    assert (neither.protected, neither.rules, neither.enforced_for_admins) == (False, [], None)


def test_an_error_in_the_answer_is_the_gap_of_its_path(github, reader):
    """A GraphQL error on one repository is that repository's gap, and the others are delivered."""
    github.forbidden_repositories = {"acme/service-004"}
    seen, gaps = reader.read(protection)
    assert "acme/service-004" not in {each.repository for each in seen}
    assert len(seen) == 11
    assert [(gap.kind, gap.resource, gap.permission) for gap in gaps] == [
        ("denied", "acme/service-004", "administration:read")
    ]


def test_a_repository_that_is_not_selected_is_no_gap(github, tmp_path, pool):
    """What is refused of a repository that is not to be read does not make the snapshot incomplete."""
    github.forbidden_repositories = {"acme/service-004"}
    with closing(Reader(github, tmp_path, pool, exclude_repositories=["service-004"])) as reader:
        seen, gaps = reader.read(protection)
    assert (len(seen), gaps) == (11, [])


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 502},
        {"status": 504},
        {
            "status": 200,
            "body": {
                "data": None,
                "errors": [{"message": "Something went wrong while executing your query. Please include `A1B2`."}],
            },
        },
    ],
    ids=["502", "504", "error"],
)
def test_a_page_that_is_too_much_is_asked_for_in_smaller_ones(github, reader, fault):
    """Where the server gives up on a page, smaller ones are asked for at once, and nothing is lost."""
    github.repositories = 40
    github.faults.append(Fault("DefaultBranches", when=lambda asked: asked["first"] > 10, **fault))
    seen, gaps = reader.read(protection)
    assert len({each.repository for each in seen}) == 40
    assert not gaps
    assert set(github.sizes) == {6}
    assert reader.waits == []


def test_one_repository_that_is_too_much_costs_a_few_requests(github, reader):
    """A repository on which the server always gives up is found by smaller pages; behind it they are large again."""
    github.repositories, github.refused_inside = 100, {3: "INTERNAL"}
    seen, (gap,) = reader.read(access)
    assert len(seen) == 99
    assert gap.kind == "unavailable"
    assert sum(github.asked.values()) < 15


def test_no_permission_does_not_read_as_unprotected(github, reader):
    """Without permission a repository whose protection is hidden is a gap; none is called unprotected."""
    github.admin = False
    github.denied.add("administration")
    seen, gaps = reader.read(protection)
    assert seen == []
    assert {gap.kind for gap in gaps} == {"denied"}
    assert {gap.permission for gap in gaps} == {"administration:read"}
    assert len(gaps) == 12


def test_branch_not_protected_is_a_fact(github, reader):
    """Where REST says "Branch not protected", the identity may see it, and the absence of classic rules is a fact."""
    github.admin = False
    seen, gaps = reader.read(protection)
    assert len(seen) == 12
    assert not gaps
    assert [each.repository for each in seen if not each.protected] == ["acme/service-003", "acme/service-009"]


def test_hidden_bypass_actors_are_one_gap_a_ruleset(github, reader):
    """Bypass actors that are not shown are null, and one gap however many repositories the ruleset holds for."""
    github.bypass_hidden = True
    seen, gaps = reader.read(protection)
    assert seen[1].sources[0].bypass_actors is None
    assert seen[1].enforced_for_admins is None
    assert [gap.resource for gap in gaps] == ["acme/ruleset 41"]


# ── Two factors ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_people_are_read_over_all_pages(github, reader):
    """Every member without two-factor authentication is named, over all pages, with the filter on each of them."""
    github.members_without = 250
    (seen,), _ = reader.read(two_factor)
    assert len(set(seen.members_without)) == 250
    assert github.asked["/orgs/acme/members"] + github.asked["/organizations/1/members"] == 3


@pytest.mark.parametrize("denied", [True, False])
def test_a_requirement_that_is_not_shown_is_not_false(github, reader, denied):
    """A requirement that is null or missing is null and a gap that names the permission, never false."""
    github.two_factor = None
    if denied:
        github.denied.add("organization_administration")
    (seen,), (gap,) = reader.read(two_factor)
    assert seen.required is None
    assert seen.unknown == ["required"]
    assert (gap.kind, gap.permission) == ("denied", "organization_administration:read")


def test_names_are_for_owners(github, reader):
    """To who is no owner the names stay unknown: null and a gap each, never an empty list."""
    github.owner = False
    (seen,), gaps = reader.read(two_factor)
    assert seen.required is True
    assert (seen.members_without, seen.outside_collaborators_without) == (None, None)
    assert {(gap.kind, gap.permission) for gap in gaps} == {("denied", "organization ownership")}


def test_a_refusal_names_what_github_says_would_mend_it(github, reader):
    """The gap of a refused call names the permission that the answer's header does."""
    github.denied.add("members")
    _, gaps = reader.read(two_factor)
    assert [gap.permission for gap in gaps] == ["members:read", "members:read"]


# ── Pull requests ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_more_than_a_thousand_pull_requests_are_read_in_slices(tmp_path, pool):
    """All 1,300 pull requests of a month are read, each once, though one search gives out 1,000."""
    with GitHub(repositories=12, pulls=1300, until=UNTIL) as github, closing(Reader(github, tmp_path, pool)) as reader:
        period = Period(MONTH.since + timedelta(microseconds=1), MONTH.until)
        seen, gaps = reader.read(reviews, period)
        expected = {
            each["number"]
            for each in github.pulls
            if each["baseRefName"] == "main" and period.since <= datetime.fromisoformat(each["mergedAt"]) < period.until
        }
        assert Counter(each.number for each in seen) == Counter(expected)
        assert len(expected) > 1200
        assert not gaps


def test_a_count_that_differs_is_a_gap(tmp_path, pool):
    """Where GitHub counts more than it gives out, what was read is delivered, and a gap says that some lack."""
    with GitHub(repositories=12, pulls=5, until=UNTIL) as github, closing(Reader(github, tmp_path, pool)) as reader:
        github.miscounted = 2
        seen, (gap,) = reader.read(reviews, MONTH)
        assert len(seen) == 5
        assert gap.kind == "unavailable"
        assert "counts 7" in gap.message


def test_reviews_that_are_not_shown_are_a_gap(tmp_path, pool):
    """A pull request whose reviews are null, without an error, is a gap that names it, and the others are told."""
    with GitHub(repositories=3, pulls=5, until=UNTIL) as github, closing(Reader(github, tmp_path, pool)) as reader:
        github.reviews_hidden = {1}
        seen, (gap,) = reader.read(reviews, MONTH)
        assert [each.number for each in seen] == [0, 2, 3, 4]
        assert (gap.resource, gap.permission) == ("acme/service-001#1", "pull_requests:read")


def test_a_search_that_hides_is_not_an_empty_one(tmp_path, pool):
    """GitHub's search finds nothing, without a word, for who may not read pull requests: that is a gap, not an absence.

    Each repository that shows merges of the period is asked, so what the search alone hides is named.
    """
    with GitHub(repositories=3, pulls=5, until=UNTIL) as github, closing(Reader(github, tmp_path, pool)) as reader:
        github.search_hides = True
        seen, gaps = reader.read(reviews, MONTH)
        assert seen == []
        assert {gap.permission for gap in gaps} == {"pull_requests:read"}
        assert {gap.resource for gap in gaps} == {f"acme/service-{n % 3:03d}#{n}" for n in range(5)}


def test_a_slice_that_fails_leaves_the_others(tmp_path, pool):
    """Where one slice of time cannot be read, it is a gap, and the other is still read."""
    with GitHub(repositories=12, pulls=1300, until=UNTIL) as github, closing(Reader(github, tmp_path, pool)) as reader:
        refusal = {"status": 403, "body": {"message": "Resource not accessible by integration"}}
        github.faults.append(
            Fault(
                "MergedPullRequests",
                when=lambda asked: "..2026-04-14" in asked["search"] and "merged:2026-03-16" not in asked["search"],
                **refusal,
            )
        )
        seen, (gap,) = reader.read(reviews, MONTH)
        assert 600 < len(seen) < 700
        assert gap.kind == "denied"
        assert gap.resource.startswith("2026-03-31T00:00:00Z..")


def test_checks_that_are_denied_are_null(tmp_path, pool):
    """Without the permission for checks, each pull request is delivered with checks null, and a gap that names it."""
    with GitHub(repositories=12, pulls=5, until=UNTIL) as github, closing(Reader(github, tmp_path, pool)) as reader:
        github.denied.add("checks")
        seen, gaps = reader.read(reviews, MONTH)
        assert [each.checks for each in seen] == [None] * 5
        assert {gap.permission for gap in gaps} == {"checks:read"}
        assert gaps[0].resource == "acme/service-000#0"


# ── Limits, faults, and what answers in GitHub's place ─────────────────────────────────────────────────────────────

PRIMARY = {"message": "API rate limit exceeded for user ID 99."}
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
LIMITED_ANEW = {"errors": [{"type": "RATE_LIMIT", "code": "graphql_rate_limit", "message": "API rate limit exceeded."}]}
LIMITED = {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 99."}]}


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (429, SECONDARY, {"Retry-After": "0"}),
        (403, SECONDARY, {"Retry-After": "0"}),
        (403, PRIMARY, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
        (200, LIMITED, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
        (200, LIMITED_ANEW, {"X-RateLimit-Remaining": "17", "X-RateLimit-Reset": "1"}),
    ],
)
def test_a_rate_limit_is_waited_out_in_sight(github, reader, status, body, headers):
    """Each way of saying a rate limit is waited out as it asks, the run is told, and the answer is whole."""
    github.faults.append(Fault("DefaultBranches", status, body, headers, times=1))
    seen, gaps = reader.read(protection)
    assert len(seen) == 12
    assert not gaps
    assert reader.waits == [("GitHub: the rate limit is used up", 0.0 if "Retry-After" in headers else 1.0)]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (["organization", "repositories", "nodes", 3], "not_found"),
        (["organization", "repositories", "nodes", 3, "collaborators"], "denied"),
        (["organization", "samlIdentityProvider"], "not_found"),
        (None, "not_found"),
    ],
)
def test_what_is_not_found_below_what_is_there_is_not_shown(path, kind):
    """An element of a list can go meanwhile, and is passed over; what lacks below one that is there is a gap."""
    error = {"type": "NOT_FOUND", "message": "Could not resolve to a node.", "path": path}
    assert fault(error, "Repositories", "members:read").kind == kind


def test_what_an_app_was_not_granted(github, app):
    """An App is told what its installation lacks, by GitHub's own account of it."""
    github.denied.add("members")
    lacking = app.target.refused(["members:read", "metadata:read", "contents:read", "administration:read"])
    assert lacking.keys() == {"members:read", "administration:read"}
    assert "the App acme-evidence" in lacking["members:read"]


@pytest.mark.parametrize(
    ("scopes", "lacking"),
    [
        (None, set()),  # a fine-grained token
        ("repo, admin:org", set()),
        ("repo, read:org", {"organization_administration:read"}),
        ("gist", {"organization_administration:read", "members:read", "contents:read"}),
    ],
)
def test_which_scopes_a_token_lacks(github, reader, scopes, lacking):
    """A classic token's scopes are told by GitHub; wider ones include narrower ones."""
    github.scopes = scopes
    wanted = ["organization_administration:read", "members:read", "contents:read"]
    assert reader.target.refused(wanted).keys() == lacking


def test_repositories_are_selected(tmp_path, pool):
    """Only repositories that the globs name are read, without archived ones and forks on demand; the target says so."""
    chosen = {"repositories": ["service-0*"], "exclude_repositories": ["*-003"], "archived": False, "forks": False}
    with (
        GitHub(repositories=40, pulls=80, until=UNTIL) as github,
        closing(Reader(github, tmp_path, pool, **chosen)) as reader,
    ):
        seen, gaps = reader.read(protection)
        merged, _ = reader.read(reviews, MONTH)
    names = {each.repository for each in seen}
    assert len(names) == 40 - 1 - 2 - 2  # -003; archived -016 and -033; the forks -018 and -037
    assert not names & {"acme/service-003", "acme/service-016", "acme/service-018"}
    assert {each.repository for each in merged} <= names
    assert gaps == []
    assert reader.target.description["repositories"]["exclude"] == ("*-003",)


def test_a_rate_limit_that_lasts_is_not_slept_through(github, reader):
    """A limit that ends later than may be waited for, by default an hour, is a gap at once."""
    reset = str(int(time.time()) + 7200)
    github.faults.append(
        Fault("DefaultBranches", 403, PRIMARY, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    )
    _, (gap,) = reader.read(protection)
    assert (gap.kind, gap.resource) == ("unavailable", None)
    assert reader.waits == []


def test_a_wait_goes_by_the_servers_clock():
    """The time until a reset is counted by the clock of the server that says it, not by the agent's."""
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1776244470", "date": "Wed, 15 Apr 2026 09:14:00 GMT"}
    assert wait_after(Reply(403, headers, json.dumps(PRIMARY)), 1, now=0.0).seconds == 31.0


@pytest.mark.parametrize(("tried", "seconds"), [(1, 60.0), (2, 120.0), (3, 240.0)])
def test_a_limit_without_a_time_is_waited_for_ever_longer(tried, seconds):
    """A secondary limit that names no time is left alone for a minute, and twice as long each time after."""
    assert wait_after(Reply(403, {}, json.dumps(SECONDARY)), tried, now=0.0).seconds == seconds


def test_a_time_out_is_a_sign_of_too_large_a_question():
    """No answer in time counts as overload, a broken connection does not; neither tells the error's text."""
    late = wait_after(Reply.missing(OSError("http://user:pw@proxy: Read timed out.")), 1, now=0.0)
    broken = wait_after(Reply.missing(ConnectionResetError("http://user:pw@proxy: reset")), 1, now=0.0)
    assert (late.overloaded, broken.overloaded) == (True, False)
    assert late.reason == "no answer in time"
    assert "proxy" not in late.reason + broken.reason


def test_a_wait_ends_when_the_run_is_cancelled(github, reader):
    """A run that is cancelled while it waits for a rate limit stops at once."""
    github.faults.append(Fault("/orgs/acme", 429, SECONDARY, {"Retry-After": "200"}))
    threading.Timer(0.1, reader.cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        list(two_factor(reader.target))
    assert time.monotonic() - began < 5


def test_a_server_fault_that_passes_costs_nothing(github, reader):
    """A 502 that does not last is asked again."""
    github.faults.append(Fault("/orgs/acme", 502, times=1))
    (seen,), gaps = reader.read(two_factor)
    assert seen.required is True
    assert not gaps


def test_an_answer_that_is_never_ready_is_given_up(github, reader):
    """An endless 202 ends as unavailable."""
    github.faults.append(Fault("/orgs/acme", 202, {}))
    (seen,), (gap,) = reader.read(two_factor)
    assert seen.required is None
    assert gap.kind == "unavailable"
    assert github.asked["/orgs/acme"] == 4


def test_a_move_is_not_followed_without_its_query(github, reader):
    """A redirect of a filtered list is a gap: following it would drop the filter and accuse everybody."""
    moved = {"Location": f"{github.url}/organizations/1/members"}
    github.faults.append(Fault("/orgs/acme/members", 301, {"message": "Moved Permanently"}, moved))
    (seen,), (gap,) = reader.read(two_factor)
    assert seen.members_without is None
    assert gap.kind == "unavailable"
    assert "/organizations/1/members" not in github.asked


@pytest.mark.parametrize("body", [HTML["body"], b"", b'{"data": "x"}', b"[]"])
def test_what_is_no_answer_is_not_taken_for_one(github, reader, body):
    """HTML, nothing, or JSON of another shape with status 200 is unavailable, not an empty organization."""
    github.faults += [Fault("DefaultBranches", 200, body, HTML["headers"]), Fault("/orgs/acme/members", 200, body[:9])]
    seen, (gap,) = reader.read(protection)
    assert seen == []
    assert gap.kind in ("unavailable", "invalid")
    (seen,), gaps = reader.read(two_factor)
    assert (seen.members_without is None) == (body != b"[]")
    assert len(gaps) == (body != b"[]")


def test_a_page_that_fails_is_not_a_shorter_list(github, reader):
    """Where the second page of a list is refused, the list is unknown."""
    github.members_without = 150
    github.faults.append(Fault("/organizations/1/members", 403, {"message": "Must have admin rights"}))
    (seen,), _ = reader.read(two_factor)
    assert seen.members_without is None


def test_the_token_does_not_leave_the_host(github, reader):
    """A next page on another host is refused, and that host is asked nothing."""
    with GitHub() as other:
        link = {"Link": f'<{other.url}/organizations/1/members?page=2>; rel="next"'}
        github.faults.append(Fault("/orgs/acme/members", 200, [{"login": "dev-001"}], link))
        (seen,), (gap,) = reader.read(two_factor)
        assert seen.members_without is None
        assert gap.kind == "unavailable"
        assert not other.asked


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('<https://ghe/api/v3/a?page=2>; rel="next"', ("/a", {"page": "2"})),
        ('<https://ghe/api/v3/a?page=9>; rel="last", <https://ghe:443/api/v3/a?q=x,y>; rel=next', ("/a", {"q": "x,y"})),
        ('<https://ghe/api/v3/a?page=9>; rel="last"', None),
        ("", None),
    ],
)
def test_next_pages_are_found_in_any_order(link, expected):
    """The next page is found wherever it stands in the header, with any query; the last page has none."""
    assert next_page({"link": link}, "https://ghe/api/v3", "GET /a") == expected


@pytest.mark.parametrize(
    "link", ["http://ghe/api/v3/a", "https://ghe:8443/api/v3/a", "https://ghe/elsewhere", "https://x/api/v3/a"]
)
def test_next_pages_stay_below_the_root(link):
    """Another scheme, port, host or root is refused."""
    with pytest.raises(Unavailable):
        next_page({"link": f'<{link}>; rel="next"'}, "https://ghe/api/v3", "GET /a")


# ── Read-only, quiet, and out of the way ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text", ["mutation M($a: Int) { x }", "query M($a: Int) { x } mutation N { y }", "subscription M($a: Int) { x }"]
)
def test_nothing_but_a_query_can_be_written(text):
    """A mutation cannot be made into a query of this source."""
    with pytest.raises(ValueError, match="not a single GraphQL query"):
        Query("M", text, "metadata:read", {})


@pytest.mark.parametrize(
    "query", [each for each in vars(queries).values() if isinstance(each, Query)], ids=lambda q: q.name
)
def test_queries_fit_githubs_schema(query):
    """Every query is valid against GitHub's published schema, and asks for each part that it names a permission for."""
    assert validate(schema(), parse(query.document)) == []
    assert all(part in query.text for part in query.parts)


def test_no_secret_in_the_logs(github, reader, app):
    """Neither a token, nor an installation's, nor a JWT is in the logs at DEBUG."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        reader.read(two_factor)
        app.read(two_factor)
        app.target.identity()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert github.issued
    assert "/orgs/acme" in text.getvalue()
    for secret in (github.token, *github.issued, "eyJ"):
        assert secret not in text.getvalue()


def test_the_sdk_is_not_imported_before_a_read():
    """Importing the source and its evidence types, and connecting, does not import PyGithub."""
    code = (
        "import sys, threading, datetime\n"
        "from collectors.contract import Run\n"
        "from collectors.registry import evidence_types, source\n"
        "assert evidence_types('github')\n"
        "s = source('github')\n"
        "run = Run('github', datetime.datetime.now(datetime.UTC), None, 1, threading.Event())\n"
        "list(s.connect(s.settings(organizations=['acme']), run))\n"
        "assert not {'github', 'requests', 'urllib3', 'jwt'} & set(sys.modules), 'imported'\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"GITHUB_TOKEN": "ghfake"}, cwd=Path(__file__).parent.parent
    )


def test_probing_asks_no_more_than_it_needs(github, tmp_path):
    """Without a pool the first record takes one request: reading is lazy."""
    github.repositories = 100
    with closing(Reader(github, tmp_path, None)) as reader:
        next(iter(protection(reader.target)))
    assert sum(github.asked.values()) == 1


def test_what_was_called_is_what_is_declared(reader):
    """The journal names each operation, its parameters and the permissions that the evidence type declares."""
    with journaling(Journal()) as journal:
        reader.read(two_factor)
    use = journal.uses["GET /orgs/{org}/members"]
    assert {each.permission for each in journal.uses.values()} == set(two_factor.permissions)
    assert [json.loads(each) for each in use.parameters] == [
        {"filter": "2fa_disabled", "org": "acme", "per_page": "100"}
    ]


# ── As whom ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_identity_is_who_and_not_what(reader, app, github):
    """The identity is a login, or an App's slug and installation."""
    assert reader.target.identity() == "acme-auditor"
    assert app.target.identity() == f"acme-evidence/{github.installation_id}"


def test_an_app_reads_with_one_token_for_all_threads(github, app):
    """A GitHub App proves itself with a JWT, and reads from several threads with one installation token."""
    github.admin = False
    seen, gaps = app.read(protection)
    assert len(seen) == 12
    assert not gaps
    assert len(github.issued) == 1


def test_an_apps_token_is_renewed_within_a_run(github, app):
    """A token that is about to expire is renewed between two requests of one run."""
    github.lifetime = timedelta(seconds=15)
    app.read(two_factor)
    assert len(github.issued) == 3


def test_an_app_that_is_refused_is_unauthenticated(github, app):
    """An App whose key or installation GitHub does not know is unauthenticated, with GitHub's own reason."""
    github.public_key = None
    _, gaps = app.read(two_factor)
    assert {gap.kind for gap in gaps} == {"unauthenticated"}
    assert "JSON web token" in gaps[0].message


def test_a_wrong_token_is_unauthenticated(github, reader):
    """A token that GitHub does not know is unauthenticated, not denied, and not tried again."""
    github.token = "another"
    _, (gap,) = reader.read(protection)
    assert (gap.kind, gap.resource) == ("unauthenticated", None)
    assert sum(github.asked.values()) == 1


def test_a_missing_secret_says_where_it_was_looked_for(github, tmp_path, pool):
    """Without a secret, or with a key that is none, nothing is read, and the message names the place."""
    with pytest.raises(Unauthenticated, match="nowhere"):
        Reader(github, tmp_path, pool, token_file=tmp_path / "nowhere")
    (tmp_path / "key").write_text("hello")
    with pytest.raises(Unauthenticated, match="PEM"):
        Reader(github, tmp_path, pool, app_id=1, installation_id=2, private_key_file=tmp_path / "key")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"organizations": []}, "at least 1 item"),
        ({"organizations": ["acme", "Acme"]}, "named twice"),
        ({"organizations": ["acme/payments"]}, "pattern"),
        ({"base_url": "http://ghe.acme.example/api/v3"}, "must begin with https://"),
        ({"base_url": "ghe.acme.example"}, "must be a plain URL"),
        ({"base_url": "https://user:pw@ghe.acme.example"}, "must be a plain URL"),
        ({"token_file": "t", "app_id": 1, "installation_id": 2}, "exclude each other"),
        ({"app_id": 1}, "needs app_id and installation_id"),
        ({"private_key_file": "k"}, "needs app_id and installation_id"),
        ({"token": "x"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(keys, says):
    """What is contradictory, unsafe or unknown in the configuration is refused with its reason."""
    with pytest.raises(ValidationError, match=says):
        SOURCE.settings.model_validate({"organizations": ["acme"], **keys})


def test_grants_are_least():
    """The grants are read-only permissions of an App, and the scopes of a classic token that include them."""
    assert SOURCE.grants([two_factor]) == {
        "github_app": {"members": "read", "metadata": "read", "organization_administration": "read"},
        "token_scopes": ["admin:org"],
    }
    assert SOURCE.grants([protection])["token_scopes"] == ["repo"]


def test_the_local_github_says_when_it_is_ready():
    """`python -m tests.fakes.github` prints one line with its address once it serves."""
    command = [sys.executable, "-m", "tests.fakes.github", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent) as process:
        line = process.stdout.readline()
        process.kill()
    assert line.startswith("github ready http://127.0.0.1:")


def test_no_login_is_left_where_people_are_pseudonyms():
    """Whoever is a person in one record of the examples is a pseudonym in all of them, in each field."""
    people, written = set(), {}
    for kind in evidence_types("github"):
        for file in sorted(Path(__file__).with_name("evidence").glob(f"{kind.id}/*/records.json")):
            for number, told in enumerate(json.loads(file.read_text())["records"]):
                record = kind.record.model_validate(told)
                text = record.model_dump_json(context=lambda name: people.add(name) or "somebody")
                written[kind.id, file.parent.name, number] = set(re.findall(r'"([^"]+)"', text))
    people.remove("release")  # in one example a person, in others an environment or a label
    assert {where: found for where, texts in written.items() if (found := texts & people)} == {}
