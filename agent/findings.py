"""What somebody should know of how the agent stands, the worst first, and what there is to do. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from agent.items import Hold
from agent.states import about_hold, about_token
from agent.words import count, when

Level = Literal["good", "note", "bad"]

_DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, and what to do about it."""

    level: Level
    message: str
    remedy: str


@dataclass(frozen=True)
class Verdict:
    """How it stands in one line, and why."""

    level: Level
    headline: str
    findings: Sequence[Finding]


def judge(
    facts: Mapping[str, Any], stuck: Sequence[str], stale: Sequence[Mapping[str, Any]], *, now: datetime
) -> Verdict:
    """What an operator should know first, the worst before the rest."""
    found = sorted(_findings(facts, stuck, stale, now), key=lambda finding: finding.level)  # bad comes before note
    if not found:
        owed = sum(held["items"] for state, held in facts["outbox"].items() if state != "discarded")
        return Verdict("good", f"All is well: {count(owed, 'item')} on the way" if owed else "All is well", found)
    worst = found[0].level
    headline = "Somebody has to act" if worst == "bad" else "It works; look at this when there is time"
    return Verdict(worst, headline, found)


def _findings(
    facts: Mapping[str, Any], stuck: Sequence[str], stale: Sequence[Mapping[str, Any]], now: datetime
) -> Iterator[Finding]:
    for part in stuck:
        yield Finding("bad", f"{part.capitalize()}.", "The service manager ends it; if not, restart the agent.")
    if facts["hold"]:
        hold = Hold(**facts["hold"])
        yield Finding("bad", f"Delivery is held since {when(hold.since)}: {hold.reason}", about_hold(hold))
    if facts["token"]["problem"]:
        yield Finding("bad", "Nothing can be delivered.", about_token(facts["token"], now=now.timestamp()))
    if facts["lost"]:
        yield Finding(
            "bad", f"{count(facts['lost'], 'item')} lost.", "`chequr-agent outbox losses` says which, and why."
        )
    outbox = facts["outbox"]
    if "rejected" in outbox:
        remedy = "`chequr-agent outbox list --state rejected` says why, and what to do."
        yield Finding("bad", f"{count(outbox['rejected']['items'], 'item')} rejected by the API.", remedy)
    if "deferred" in outbox and now.timestamp() - outbox["deferred"]["oldest"] > _DAY:
        remedy = "They are tried again by themselves; `chequr-agent doctor` says whether the API can be reached."
        yield Finding("note", f"Items wait since {when(outbox['deferred']['oldest'])}.", remedy)
    if stale:
        named = ", ".join(sorted({row["id"] for row in stale})[:5])
        yield Finding("note", f"{count(len(stale), 'control')} with stale evidence: {named}.", "See below.")
    if not any(each["enabled"] for each in facts["collectors"]):
        remedy = "Add one to the configuration: `chequr-agent config example` has all of them."
        yield Finding("note", "Nothing is collected: no collector is enabled.", remedy)
    for each in facts["collectors"]:
        yield from _about_collector(each)


def _about_collector(each: Mapping[str, Any]) -> Iterator[Finding]:
    """Without the words of a gap, which name what was looked at: they are content."""
    last = each["last_run"]
    if not each["enabled"]:
        return
    if last is None:
        yield Finding(
            "note", f"{each['collector']} never ran.", "It does when it is due; `chequr-agent collect` does now."
        )
    elif last["outcome"] == "failed":
        remedy = "The log has the fault: please report it."
        yield Finding("bad", f"The last run of {each['collector']} failed.", remedy)
    elif last["gaps"]:
        remedy = "`chequr-agent doctor` says which permission lacks."
        told = f"{each['collector']} could not see everything: {count(last['gaps'], 'gap')}."
        yield Finding("note", told, remedy)
