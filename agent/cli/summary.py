"""What a collection came to, as a table for people and as JSON for programs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from agent.cli.deliver import Delivery
from agent.cli.output import count, say, table
from agent.controls import ControlMap
from agent.errors import ChequrError
from agent.ledger import Ledger
from agent.report import Observed, Report
from agent.store import Store

_ROWS = 100  # of the table, before places are told together
_GAPS_SHOWN = 10
_NAMED = 5  # evidence types that no control asks for


def summary(store: Store, reports: Sequence[Report], delivery: Delivery) -> dict[str, Any]:
    """Everything that a program may want to know."""
    ledger = Ledger(store)
    return {
        "collectors": [
            {
                "collector": report.collector,
                "started_at": report.started.isoformat(),
                "records": report.records,
                "gaps": report.gaps,
                "unmapped": report.unmapped,
                "elsewhere": report.elsewhere,
                "observed": [_told(observed, ledger) for observed in report.observed],
            }
            for report in reports
        ],
        "delivery": asdict(delivery),
    }


def _told(observed: Observed, ledger: Ledger) -> dict[str, Any]:
    told = {name: value for name, value in asdict(observed).items() if name != "told"}
    return {
        **told,
        "first_gaps": [gap.model_dump() for gap in observed.told],
        "receipts": _receipts(observed, ledger),
    }


def _receipts(observed: Observed, ledger: Ledger) -> list[str]:
    if observed.snapshot_id is None:
        return []
    receipts = ledger.receipts(snapshot_id=observed.snapshot_id, limit=len(observed.items))
    return [receipt.evidence_id for receipt in reversed(receipts)]


def print_summary(
    store: Store,
    reports: Sequence[Report],
    delivery: Delivery,
    controls: ControlMap,
    api_error: ChequrError | None,
) -> None:
    """The table, then the gaps, then what to do next."""
    ledger = Ledger(store)
    news = [observed for report in reports for observed in report.observed if _is_news(observed)]
    if news:
        rows = (_row(observed, ledger) for observed in news) if len(news) <= _ROWS else _together(news, ledger)
        headings = ("evidence type", "target", "records", "gaps", "parts", "controls", "receipts")
        table(headings, rows, right=("records", "gaps", "parts"))
    unchanged = sum(observed.state == "unchanged" for report in reports for observed in report.observed)
    if unchanged:
        say(f"{count(unchanged, 'file')} unchanged since queued: not sent again.")
    elsewhere = sum(report.elsewhere for report in reports)
    if elsewhere:
        say(f"{count(elsewhere, 'place')} left to other shards.")
    _print_gaps(reports)
    _print_unmapped(reports, controls, api_error)
    say(delivery.sentence)


def _is_news(observed: Observed) -> bool:
    return observed.state != "unchanged" or observed.gaps > 0


def _row(observed: Observed, ledger: Ledger) -> tuple[object, ...]:
    receipts = _receipts(observed, ledger)
    shown = receipts[0] + (f" and {len(receipts) - 1} more" if len(receipts) > 1 else "") if receipts else "-"
    controls = ", ".join(observed.controls) or "-"
    return (
        observed.evidence_type,
        observed.target,
        f"{observed.records:,}",
        observed.gaps or "",
        observed.parts or "",
        controls,
        shown,
    )


def _together(news: Iterable[Observed], ledger: Ledger) -> Iterator[tuple[object, ...]]:
    """A row for each evidence type: nobody reads thousands, and they fill the memory. --json tells of each place."""
    by_type: dict[str, list[Observed]] = {}
    for observed in news:
        by_type.setdefault(observed.evidence_type, []).append(observed)
    for evidence_type, there in by_type.items():
        records, gaps, parts = (sum(getattr(each, name) for each in there) for name in ("records", "gaps", "parts"))
        controls = ", ".join(dict.fromkeys(control for each in there for control in each.controls)) or "-"
        receipts = count(sum(len(_receipts(each, ledger)) for each in there), "receipt")
        yield evidence_type, count(len(there), "place"), f"{records:,}", gaps or "", parts or "", controls, receipts


def _print_gaps(reports: Iterable[Report]) -> None:
    gaps = [(observed, gap) for report in reports for observed in report.observed for gap in observed.told]
    if not gaps:
        return
    total = sum(report.gaps for report in reports)
    nowhere = any(not observed.items for observed, _ in gaps)
    say(f"{count(total, 'gap')}, delivered as such{' where there is a control and room for it' if nowhere else ''}:")
    for observed, gap in gaps[:_GAPS_SHOWN]:
        say(f"  {observed.evidence_type} {gap.resource or observed.target}: {gap.kind}: {gap.message}")
        say(f"    {gap.remedy}")
    if total > _GAPS_SHOWN:
        say(f"  and {total - _GAPS_SHOWN:,} more; `chequr-agent collect --dry-run` prints payloads with all of them.")
    say()


def _print_unmapped(reports: Iterable[Report], controls: ControlMap, api_error: ChequrError | None) -> None:
    unmapped = sorted({type_id for report in reports for type_id in report.unmapped})
    if api_error:
        say(f"The controls could not be read from the API: {api_error}")
    if not unmapped:
        return
    if controls.discovery is None and api_error:
        say("They were never read before, so it is not known where evidence belongs. Nothing without a control in")
        say("[controls.map] was collected.")
    else:
        more = f" and {len(unmapped) - _NAMED} more (`chequr-agent types`)" if len(unmapped) > _NAMED else ""
        say(f"Not collected, since no control asks for it: {', '.join(unmapped[:_NAMED])}{more}.")
        say("Map them in [controls.map] to collect them all the same; `chequr-agent doctor` reads the controls anew.")
    say()
