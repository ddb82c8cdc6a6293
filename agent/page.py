"""The status page: one HTML document, made when it is asked for, that needs nothing else. It shows no content."""

import base64
import hashlib
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from math import inf
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.cadence import freshness, length
from agent.config import Loaded
from agent.controls import ControlMap, Discovery, KnownControl
from agent.coverage import current
from agent.findings import Level, judge
from agent.ledger import Day, Latest, Ledger
from agent.standing import essentials
from agent.states import STATES, about_token
from agent.store import Store
from agent.words import count, size, span, when

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

_DAY = 86_400.0  # seconds
_DAYS = 30
_DELIVERIES = 20
_CONTROLS = 200
_HIGHEST, _STEP = 100, 24  # of a bar, and from one to the next, in the chart's units
_LEVELS: Mapping[str, Level] = {"complete": "good", "incomplete": "note", "failed": "bad"}


class Page:
    """The page of one service. `stuck` tells what gave no sign of life, `rate` how fast it delivers at most."""

    def __init__(
        self,
        loaded: Callable[[], Loaded],
        store: Store,
        stuck: Callable[[], Sequence[str]],
        rate: Callable[[], float | None],
    ) -> None:
        self._loaded = loaded
        self._store = store
        self._stuck = stuck
        self._rate = rate

    def html(self) -> str:
        """The document as it stands now."""
        loaded, ledger, now = self._loaded(), Ledger(self._store), datetime.now(UTC)
        facts = essentials(loaded, self._store)
        kept = Discovery.load(loaded.config.state_dir, loaded.config.chequr.base_url)
        controls = list(_controls(loaded, kept, ledger.latest(), now))
        rate = self._rate()
        return _template().render(
            host=socket.gethostname(),
            version=__version__,
            now=now,
            verdict=judge(facts, self._stuck(), [row for row in controls if row["level"] == "bad"], now=now),
            collectors=[_collector(each) for each in facts["collectors"]],
            controls=controls[:_CONTROLS],
            controls_at=when(kept.fetched_at, now=now) if kept else None,
            more_controls=max(0, len(controls) - _CONTROLS),
            outbox=[_state(state, held) for state, held in facts["outbox"].items()],
            accepted=f"{facts['accepted']:,}",
            token=about_token(facts["token"], now=now.timestamp()),
            rate=f"{rate:.0f}" if rate else None,
            chart=chart(ledger.days(_today(now) - _DAYS + 1), today=_today(now)),
            deliveries=[
                {
                    "accepted": when(entry.accepted_at),
                    "control": entry.control_id,
                    "evidence_type": entry.evidence_type,
                    "target": entry.target,
                    "id": entry.evidence_id,
                }
                for entry in ledger.receipts(limit=_DELIVERIES)
            ],
        )


@cache
def style() -> str:
    """The page's style sheet."""
    return files("agent").joinpath("templates/page.css").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """The page's Content-Security-Policy: its own style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("agent")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["coded"] = _coded
    return environment.get_template("page.html", globals={"style": Markup(style())})  # noqa: S704 it is our own


def _coded(text: str) -> "Markup":
    """What stands between backticks as code."""
    from markupsafe import Markup, escape

    parts = (escape(part) for part in text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def _collector(each: Mapping[str, Any]) -> dict[str, Any]:
    last, following = each["last_run"], each["next_run"]
    outcome = (last["outcome"] or "under way, or cut short") if last else "never ran"
    return {
        "name": each["collector"],
        "schedule": each["schedule"] if each["enabled"] else "disabled",
        "last": when(last["started_at"]) if last else "never",
        "outcome": outcome,
        "level": _LEVELS.get(outcome, "soft"),
        "took": span(last["finished_at"] - last["started_at"]) if last and last["finished_at"] else "",
        "records": f"{last['records']:,}" if last else "",
        "gaps": f"{last['gaps']:,}" if last else "",
        "following": when(datetime.fromisoformat(following)) if following else "never",
    }


def _state(state: str, held: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "state": state.replace("_", " "),
        "number": f"{held['items']:,}",
        "size": size(held["bytes"]),
        "oldest": when(held["oldest"]),
        "meaning": STATES[state],
    }


Place = tuple[str, str, str]
"""A control, an evidence type, and the collector that has it."""


def _controls(
    loaded: Loaded, kept: Discovery | None, latest: Iterable[Latest], now: datetime
) -> Iterator[dict[str, Any]]:
    """A row for each place, what is stale first. `kept` are the controls as they were told last."""
    known = {control.id: control for control in kept.controls} if kept else {}
    there = {(each.control_id, each.evidence_type, each.collector): each for each in current(latest, loaded.by_type)}
    wanted = _wanted(loaded, ControlMap(loaded.config.controls.map, kept))
    rows = [_control(place, known.get(place[0]), there.get(place), now) for place in dict.fromkeys([*wanted, *there])]
    yield from (row for _, row in sorted(rows, key=lambda pair: -pair[0]))


def _wanted(loaded: Loaded, controls: ControlMap) -> Iterator[Place]:
    """What is collected, apart from evidence of files, which comes when there is one."""
    for collector in loaded.enabled:
        for kind in collector.types:
            if not kind.speaks_for_itself:
                yield from ((control, kind.id, collector.name) for control in controls.controls_for(kind.id))


def _control(
    place: Place, control: KnownControl | None, last: Latest | None, now: datetime
) -> tuple[float, dict[str, Any]]:
    """One row, and how many cadences ago its evidence was collected."""
    cadence = length(control.cadence) if control else None
    age = now - last.collected if last else None
    fresh = "never" if age is None else freshness(age, cadence) if cadence else ""
    row = {
        "id": place[0],
        "name": control.name if control else "",
        "evidence_type": place[1],
        "collector": place[2],
        "collected": when(last.collected if last else None, now=now),
        "freshness": fresh,
        "level": {"fresh": "good", "due": "note", "never": "note", "stale": "bad"}.get(fresh, "soft"),
        "cadence": (control.cadence or "") if control else "",
        "status": control.status.replace("_", " ") if control else "",
        "gaps": (last.gaps or "") if last else "",
    }
    return inf if age is None else age / cadence if cadence else 0.0, row


def chart(days: Iterable[Day], *, today: int) -> dict[str, Any]:
    """The bars of the last days, with what they say in words. Heights and places are in the units of the drawing."""
    told = {day.day: day for day in days}
    shown = [told.get(number, Day(number, 0, 0, 0, 0)) for number in range(today - _DAYS + 1, today + 1)]
    most = max(day.items for day in shown)
    bars = [
        {
            "day": _date(day.day),
            "x": place * _STEP,
            "height": max(2, round(_HIGHEST * day.items / most)) if day.items else 0,
            "accepted": day.items,
            "records": day.records,
            "gaps": day.gaps,
            "text": f"{_date(day.day)}: {day.items:,} accepted, {day.records:,} records, {day.gaps:,} gaps",
        }
        for place, day in enumerate(shown)
    ]
    total, empty = sum(day.items for day in shown), sum(not day.items for day in shown)
    text = f"{count(total, 'piece')} of evidence accepted in {_DAYS} days, most on a day {most:,}, on {empty} days none"
    return {"bars": bars, "first": _date(today - _DAYS + 1), "last": _date(today), "most": f"{most:,}", "text": text}


def _today(now: datetime) -> int:
    return int(now.timestamp() // _DAY)


def _date(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * _DAY))
