import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from acme.targets import Building
from collectors.contract import Cancelled, Gap, Period, Personal, Record, evidence
from collectors.errors import AccessDenied, NotEnabled, NotFound, Omitted

LAG = timedelta(minutes=10)  # in which the doorman writes his book


class Lock(Record):
    number: int = Field(description="The door's number.")


class Visit(Record):
    since: str = Field(description="The start of the period that was read.")
    host: Personal = Field(description="Who was visited.")


@evidence("acme:ListDoors", "acme:ListLocks")
def locks(building: Building) -> Iterator[Lock | Gap]:
    """The locks of a building's doors."""
    doors = building.reads.read("acme:ListDoors", {}, lambda: [1, 2, 3], permission="acme:ListDoors")
    match building.trouble.get("locks"):
        case "denied":
            raise AccessDenied("no", operation="acme:ListLocks", permission="acme:ListLocks")
        case "one denied":
            yield from building.each(doors, _guarded, resource=lambda door: f"door/{door}")
            return
        case "off":
            raise NotEnabled("there are no locks", operation="acme:ListLocks")
    for door in doors:
        if door == 3:
            _meet(building.trouble.get("locks"))
        yield Lock(number=door)


def _guarded(door: int) -> Lock:
    if door == 2:
        raise AccessDenied("a guard stands there", operation="acme:GetLock", permission="acme:GetLock")
    if door == 3:
        raise NotFound("walled up", operation="acme:GetLock")
    return Lock(number=door)


def _meet(trouble: str | None) -> None:
    match trouble:
        case "midway":
            raise AccessDenied("the third door is shut", operation="acme:GetLock", permission="acme:GetLock")
        case "broken":
            raise ZeroDivisionError("hunter2")
        case "invalid":
            Lock.model_validate({"number": "hunter2"})


@evidence("acme:ListDoors")
def hinges(building: Building) -> Iterator[Lock]:
    """The hinges of a building's doors."""
    if building.trouble.get("hinges") == "broken":
        raise ZeroDivisionError("hunter2")
    for door in building.reads.read("acme:ListDoors", {}, lambda: [1, 2, 3], permission="acme:ListDoors"):
        yield Lock(number=door)


@evidence("acme:ListVisits", window=timedelta(days=7), retention=timedelta(days=30), lag=LAG)
def visits(building: Building, period: Period) -> Iterator[Visit | Gap]:
    """Who came through the doors."""
    yield Visit(since=period.since.isoformat(), host="Ada")
    match building.trouble.get("visits"):
        case "denied":
            raise AccessDenied("no", operation="acme:ListVisits", permission="acme:ListVisits")
        case "omitted":
            yield Omitted("a visitor who asked for it").gap("visitor/7")


@evidence("acme:CountSteps")
def steps(building: Building) -> Iterator[Lock]:
    """The steps behind each door, which take long to count: what was counted before need not be counted again."""
    kept = building.run.unfinished
    for door in (1, 2, 3):
        if kept is None or (found := kept.get(f"{building.id}/{door}")) is None:
            if door == building.stops_before:
                raise Cancelled
            building.counted.append(door)
            found = door * 10
            if kept is not None:
                kept.put(f"{building.id}/{door}", found)
        yield Lock(number=found)


@evidence("acme:Wait")
def waits(building: Building) -> Iterator[Lock]:
    """Records for ever, until somebody wants to stop; or for as long as the file is there that the trouble names."""
    number, until = 0, building.trouble.get("waits")
    while until and (not until.startswith("/") or Path(until).exists()):
        yield Lock(number=number)
        number += 1
        time.sleep(0.01)
