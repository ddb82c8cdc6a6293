"""Evidence of rulesets: who went past them."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Period, Personal, Record, evidence
from collectors.errors import AccessDenied
from collectors.github.logged import selected_names
from collectors.github.org import ADMINISTRATION
from collectors.github.targets import METADATA, Organization

# The API takes no dates, only how far to look back from now: the shortest of these that reaches is asked for.
REACHES = {"day": timedelta(days=1), "week": timedelta(days=7)}
LONGEST = "month"
MONTH = timedelta(days=28)  # the shortest month: GitHub does not say which it means
SLACK = timedelta(hours=12)  # since "now" is when GitHub is asked, which can be hours after the run began
DELAY = timedelta(minutes=15)


class WritersOnly(AccessDenied):
    remedy = (
        "GitHub shows this log only to who may write the organization's administration: decide whether to grant that."
    )
    is_mended_by_grant = False


class RulesetBypass(Record):
    """One push or merge that went past the rules that held for its branch or tag."""

    id: int = Field(description="GitHub's id of the evaluation of the rules.")
    repository: str = Field(description="The repository, as owner/name.")
    repository_id: int = Field(description="GitHub's id of the repository.")
    actor: Personal | None = Field(description="The login of who did it; null where GitHub does not say.")
    actor_id: int | None = Field(description="GitHub's id of who did it; null where GitHub does not say.")
    ref: str = Field(description="The branch or tag, as in `refs/heads/main`.")
    before: str = Field(description="The commit that it was at before; only zeros where it was made.")
    after: str = Field(description="The commit that it is at after; only zeros where it was deleted.")
    pushed_at: datetime = Field(description="When it was done.")
    result: str = Field(description="What the active rules came to, which is `bypass`.")
    evaluation_result: str | None = Field(
        description="What the rules would come to if those on trial were active, as in `fail`; null without such rules."
    )


@evidence(ADMINISTRATION, METADATA, window=timedelta(days=27), retention=MONTH, lag=DELAY)
def bypass_log(organization: Organization, period: Period) -> Iterator[RulesetBypass | Gap]:
    """Every push and merge of the period that went past a ruleset, with who did it, where and when.

    GitHub tells of the last month only, and shows the log only to who may also change the organization's settings. The
    agent asks to be granted no more than reading: without more, this is a gap that names what GitHub demands.
    """
    is_selected = selected_names(organization)
    filters = {"rule_suite_result": "bypass", "time_period": _reach(organization, period)}
    suites = organization.items(
        "GET /orgs/{org}/rulesets/rule-suites",
        filters,
        permission=ADMINISTRATION,
        absent=WritersOnly,
        org=organization.login,
    )
    seen: set[int] = set()  # what is pushed meanwhile can push an entry onto the next page
    for suite in suites:
        timely = period.since <= datetime.fromisoformat(suite["pushed_at"]) < period.until
        if timely and suite["id"] not in seen and is_selected(suite["repository_name"]):
            seen.add(suite["id"])
            yield _bypass(organization, suite)


def _reach(organization: Organization, period: Period) -> str:
    age = organization.run.started - period.since + SLACK
    return next((name for name, reach in REACHES.items() if age <= reach), LONGEST)


def _bypass(organization: Organization, suite: Mapping[str, Any]) -> RulesetBypass:
    return RulesetBypass(
        id=suite["id"],
        repository=f"{organization.login}/{suite['repository_name']}",
        repository_id=suite["repository_id"],
        actor=suite.get("actor_name"),
        actor_id=suite.get("actor_id"),
        ref=suite["ref"],
        before=suite["before_sha"],
        after=suite["after_sha"],
        pushed_at=suite["pushed_at"],
        result=suite["result"],
        evaluation_result=suite.get("evaluation_result"),
    )
