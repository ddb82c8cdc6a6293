"""What GitHub finds in the code: vulnerable dependencies, flaws and secrets; and the settings that make it look."""

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.fakes.github.answers import Answer, Listed, not_found, refusal, time
from tests.fakes.github.people import account, user
from tests.fakes.github.repositories import alerts_on, is_empty, scans_secrets, summary
from tests.fakes.github.routes import route
from tests.fakes.github.tokens import PLANTED

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

SEVERITIES = ("critical", "high", "medium", "low")


def _about(github: "GitHub", number: int, index: int, *, closed: bool) -> dict:
    """What all alerts have. `closed` ones were dismissed by somebody."""
    shown = summary(github, number)
    return {
        "number": 1 + index,
        "state": "dismissed" if closed else "open",
        "created_at": time(github.until - timedelta(days=1 + number + index)),
        "dismissed_at": time(github.until) if closed else None,
        "dismissed_by": account(user(0)) if closed else None,
        "dismissed_comment": "not reachable" if closed else None,
        "repository": {name: shown[name] for name in ("id", "name", "full_name", "private")},
    }


# ── Dependencies ───────────────────────────────────────────────────────────────────────────────────────────────────


def dependencies(number: int) -> int:
    """How many alerts a repository has; the second of them was dismissed."""
    return number % 4 if alerts_on(number) else 0


@route("/orgs/acme/dependabot/alerts", "vulnerability_alerts", cursor=True)
def dependabot(github: "GitHub", _query: dict) -> Listed:
    numbers = range(github.repositories)
    return Listed([_dependency(github, each, index) for each in numbers for index in range(dependencies(each))])


def _dependency(github: "GitHub", number: int, index: int) -> dict:
    package = {"ecosystem": "npm", "name": f"part-{index}"}
    return {
        **_about(github, number, index, closed=index == 1),
        "dismissed_reason": "not_used" if index == 1 else None,
        "dependency": {"package": package, "manifest_path": "package-lock.json", "scope": "runtime"},
        "security_advisory": {"ghsa_id": f"GHSA-aaaa-bbbb-{number:04d}", "cve_id": None},
        "security_vulnerability": {
            "package": package,
            "severity": SEVERITIES[(number + index) % 4],
            "first_patched_version": {"identifier": "2.0.0"} if index else None,
        },
    }


@route("/{repo}/vulnerability-alerts", "administration")
def alerts_flag(_github: "GitHub", _query: dict, repo: int) -> Answer:
    return Answer(204, b"") if alerts_on(repo) else refusal(404, "Vulnerability alerts are disabled.")


# ── Flaws ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def on_plan(number: int) -> bool:
    """Whether code can be scanned; GitHub says in its own words where it cannot."""
    return number % 8 != 7


def is_analysed(number: int) -> bool:
    return number % 2 == 0 and not is_empty(number)


@route("/orgs/acme/code-scanning/alerts", "security_events")
def code(github: "GitHub", query: dict) -> Listed:
    index = ("open", "dismissed").index(query["state"])
    return Listed([_flaw(github, each, index) for each in range(github.repositories) if is_analysed(each)])


def _flaw(github: "GitHub", number: int, index: int) -> dict:
    rule = {"id": "py/sql-injection", "severity": "error", "security_severity_level": SEVERITIES[number % 4]}
    return {
        **_about(github, number, index, closed=index == 1),
        "dismissed_reason": "false positive" if index == 1 else None,
        "rule": rule,
        "tool": {"name": "CodeQL", "version": "2.20.4"},
        "most_recent_instance": {"ref": "refs/heads/main", "location": {"path": "service/db.py", "start_line": 91}},
    }


@route("/{repo}/code-scanning/default-setup", "administration")
def setup(_github: "GitHub", _query: dict, repo: int) -> dict | Answer:
    if not on_plan(repo):
        return refusal(403, "Advanced Security must be enabled for this repository to use code scanning.")
    if not is_analysed(repo):
        return {"state": "not-configured", "languages": ["python"], "query_suite": None}
    return {"state": "configured", "languages": ["python"], "query_suite": "extended", "schedule": "weekly"}


@route("/{repo}/code-scanning/analyses", "security_events")
def analyses(github: "GitHub", _query: dict, repo: int) -> Listed | Answer:
    if not is_analysed(repo):
        return refusal(404, "no analysis found")
    run = {"ref": "refs/heads/main", "tool": {"name": "CodeQL"}, "error": ""}
    return Listed([{**run, "created_at": time(github.until - timedelta(hours=index))} for index in range(3)])


# ── Secrets ────────────────────────────────────────────────────────────────────────────────────────────────────────


def leaks(number: int) -> int:
    """How many secrets were found in a repository; the second of them is revoked."""
    return 2 if number % 3 == 1 and scans_secrets(number) else 0


@route("/orgs/acme/secret-scanning/alerts", "secret_scanning_alerts")
def secrets(github: "GitHub", query: dict) -> Listed:
    """The secret itself is left out where that is asked for, as GitHub does; what people write about it never is."""
    hidden = query.get("hide_secret") == "true" and not github.shows_secrets
    numbers = range(github.repositories)
    return Listed([_leak(github, each, index, hidden=hidden) for each in numbers for index in range(leaks(each))])


def _leak(github: "GitHub", number: int, index: int, *, hidden: bool) -> dict:
    revoked = index == 1
    return {
        **_about(github, number, index, closed=False),
        "state": "resolved" if revoked else "open",
        "secret_type": "adafruit_io_key",
        "secret": None if hidden else PLANTED,
        "validity": "inactive" if revoked else "active",
        "publicly_leaked": False,
        "multi_repo": False,
        "resolution": "revoked" if revoked else None,
        "resolved_at": time(github.until) if revoked else None,
        "resolved_by": account(user(0)) if revoked else None,
        "resolution_comment": f"it was {PLANTED}" if revoked else None,
        "push_protection_bypassed": not revoked,
        "push_protection_bypassed_by": None if revoked else account(user(2)),
        "push_protection_bypassed_at": None if revoked else time(github.until - timedelta(days=1)),
        "push_protection_bypass_request_comment": f"only {PLANTED}",
    }


# ── Settings for many ──────────────────────────────────────────────────────────────────────────────────────────────

CONFIGURATIONS = "/orgs/acme/code-security/configurations"
IDS = (17, 1326)


@route(CONFIGURATIONS, "organization_administration")
def configurations(_github: "GitHub", _query: dict) -> Listed:
    return Listed([_configuration(number) for number in IDS])


def _configuration(number: int) -> dict:
    own = number != IDS[0]
    return {
        "id": number,
        "target_type": "organization" if own else "global",
        "name": "High risk" if own else "GitHub recommended",
        "description": "For what handles payments",
        "enforcement": "enforced" if own else "unenforced",
        "dependabot_alerts": "enabled",
        "secret_scanning": "enabled" if own else "not_set",
        "code_scanning_options": {"allow_advanced": True},
        "created_at": "2023-12-04T15:58:07Z",
        "updated_at": "2025-03-11T10:00:00Z",
    }


@route(f"{CONFIGURATIONS}/defaults", "organization_administration")
def defaults(_github: "GitHub", _query: dict) -> list:
    return [{"default_for_new_repos": "all", "configuration": _configuration(IDS[0])}]


@route(f"{CONFIGURATIONS}/{{configuration}}/repositories", "organization_administration")
def attached(github: "GitHub", _query: dict, configuration: str) -> Listed | Answer:
    if int(configuration) not in IDS:
        return not_found()
    third = IDS.index(int(configuration))
    numbers = (each for each in range(github.repositories) if each % 3 == third)
    return Listed([{"status": "enforced", "repository": summary(github, each)} for each in numbers])
