import json
import os
import sys
import threading
import time
import weakref
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from agent_fixtures import limited

from agent import checkpoints
from agent.collect import Collection
from agent.config import Collector, Common, Config, Delivery, Loaded
from agent.controls import ControlMap, Discovery, KnownControl
from agent.items import Checkpoint
from agent.keep import Printer
from agent.lock import Locked, lock
from agent.outbox import Outbox
from agent.run import run_collector
from agent.runs import Runs
from agent.shard import WHOLE, Shard
from collectors import registry
from collectors.contract import Cancelled, Reads
from collectors.errors import AccessDenied

TYPES = ("locks", "hinges", "visits", "steps", "waits")
MAP = {f"acme_door_{name}": ["ctrl_a"] for name in TYPES}


@pytest.fixture(scope="module", autouse=True)
def _acme():
    """A source that is installed beside the agent: its package and its entry point are on the path."""
    caches = (registry._entry_points, registry.source, registry.evidence_types)
    sys.path.append(str(Path(__file__).parent / "third_party"))
    for cache in caches:
        cache.cache_clear()
    yield
    sys.path.pop()
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def closed(_acme):
    from acme.targets import Building

    Building.closed.clear()
    return Building.closed


def _collector(*names, common=None, **settings):
    types = [kind for kind in registry.evidence_types("acme") if kind.observe.__name__ in names]
    return Collector("acme", common or Common(), registry.source("acme").settings(**settings), types)


def _run(
    store, *names, controls=None, own_controls=None, cancelled=None, progress=None, limit=1_000_000, shard=WHOLE,
    **settings,
):  # fmt: skip
    """Collects once: the report, and what was queued by it."""
    mapping = controls or ControlMap(MAP, None)
    loaded = Loaded(Config(state_dir=store.directory, delivery=Delivery(max_payload_bytes=limit)), {}, None)
    cancelled = cancelled or threading.Event()
    if own_controls:
        settings["controls"] = own_controls
    collector = _collector(*(names or ("locks",)), **settings)
    report = run_collector(loaded, store, collector, mapping, cancelled=cancelled, progress=progress, shard=shard)
    outbox = Outbox(store)
    return report, [json.loads(outbox.body(item)) for item in report.items]


def _payload(store, *names, **settings):
    _, (body,) = _run(store, *names, **settings)
    return body["payload"]


def _gaps(payload):
    return [(gap["kind"], gap["resource"], gap["operation"], gap["permission"]) for gap in payload["gaps"]]


def _known(*controls):
    known = [
        KnownControl(id=control, name="n", framework="soc2", code="CC1", evaluator=None, cadence=None, status="passing")
        for control in controls
    ]
    return Discovery(base_url="x", fetched_at=0, controls=tuple(known))


# ── What is seen ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_source_of_somebody_else(store, closed):
    """A source with nothing but an entry point and the contract is collected like ours."""
    assert "acme" in registry.source_names()
    report, (body,) = _run(store)
    assert (body["control_id"], body["source"]) == ("ctrl_a", "acme")
    payload = body["payload"]
    assert (payload["evidence_type"], payload["target"]) == ("acme_door_locks", {"building": "north"})
    assert payload["records"] == [{"number": 1}, {"number": 2}, {"number": 3}]
    assert payload["collection"]["complete"] is True
    assert payload["collection"]["identity"] == "guard:7"
    assert payload["collection"]["operations"]["acme:ListDoors"]["calls"] == 1
    assert (report.snapshots, report.records, report.gaps, report.failed) == (1, 3, 0, False)
    assert closed == ["north"]


def test_each_type_at_each_place(store, closed):
    """Each evidence type is observed once at each place; a read that several want is made once; places are closed."""
    names = [f"b{number}" for number in range(30)]
    report, bodies = _run(store, "locks", "hinges", buildings=names)
    seen = Counter((body["payload"]["evidence_type"], body["payload"]["target"]["building"]) for body in bodies)
    assert seen == Counter((f"acme_door_{kind}", name) for kind in ("locks", "hinges") for name in names)
    calls = Counter()
    for body in bodies:
        calls[body["payload"]["target"]["building"]] += body["payload"]["collection"]["operations"]["acme:ListDoors"][
            "calls"
        ]
    assert calls == dict.fromkeys(names, 1)
    assert sorted(closed) == sorted(names)
    assert report.unmapped == []


def test_evidence_for_several_controls(store):
    """Evidence of a type that several controls want is queued for each, once, and the parts are counted once."""
    report, bodies = _run(store, controls=ControlMap({"acme_door_locks": ["b", "a", "b"]}, None))
    assert [body["control_id"] for body in bodies] == ["b", "a"]
    assert report.observed[0].parts == 1


# ── What is not seen ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_read_that_is_denied(store):
    """A read that is denied is a snapshot without records that says what it lacks: never an empty population."""
    payload = _payload(store, trouble={"locks": "denied"})
    assert payload["records"] == []
    assert _gaps(payload) == [("denied", None, "acme:ListLocks", "acme:ListLocks")]
    assert payload["collection"]["complete"] is False


def test_one_resource_that_is_denied(store):
    """A resource that is denied is a gap on that resource; one that went away is none; the others are records."""
    payload = _payload(store, trouble={"locks": "one denied"})
    assert payload["records"] == [{"number": 1}]
    assert _gaps(payload) == [("denied", "door/2", "acme:GetLock", "acme:GetLock")]


@pytest.mark.parametrize(
    ("trouble", "gap", "failed"),
    [
        ("midway", ("denied", None, "acme:GetLock", "acme:GetLock"), False),
        ("invalid", ("invalid", None, None, None), False),
        ("broken", ("failed", None, None, None), True),
    ],
)
def test_a_read_that_breaks_half_way(store, trouble, gap, failed):
    """What was seen before a failure stays, with a gap of the whole; other types go on, and no value is told."""
    report, bodies = _run(store, "locks", "hinges", trouble={"locks": trouble})
    locks, hinges = sorted((body["payload"] for body in bodies), key=lambda one: one["evidence_type"], reverse=True)
    assert locks["records"] == [{"number": 1}, {"number": 2}]
    assert _gaps(locks) == [gap]
    assert hinges["collection"]["complete"] is True
    assert "hunter2" not in json.dumps(locks)
    assert report.failed is failed
    assert Runs(store).latest("acme").outcome == ("failed" if failed else "incomplete")


@pytest.mark.parametrize(("trouble", "gaps"), [("denied", []), ("broken", [("failed", None, None, None)])])
def test_an_identity_that_nobody_knows(store, trouble, gaps):
    """Where the identity cannot be told the records stand without it; a target that breaks over it is a gap."""
    payload = _payload(store, trouble={"identity": trouble})
    assert len(payload["records"]) == 3
    assert payload["collection"]["identity"] is None
    assert _gaps(payload) == gaps


def test_a_place_that_cannot_be_entered(store):
    """Each type that would run at an unreachable place has a gap there, and the other places are read."""
    _, bodies = _run(store, "locks", "hinges", buildings=["north", "south"], trouble={"north": "unreachable"})
    gaps = {
        (body["payload"]["evidence_type"], body["payload"]["target"]["building"]): _gaps(body["payload"])
        for body in bodies
    }
    shut = [("denied", None, "acme:Enter", "acme:Enter")]
    assert gaps == {
        ("acme_door_locks", "north"): shut, ("acme_door_hinges", "north"): shut,
        ("acme_door_locks", "south"): [], ("acme_door_hinges", "south"): [],
    }  # fmt: skip


def test_places_are_shared_out(store, closed):
    """Each place is read by one shard; one that cannot be entered is told by each, as parts of it may be its own."""
    names = [f"building {number}" for number in range(12)]
    told = Counter()
    for index in range(3):
        shard = Shard(index, 3)
        report, bodies = _run(store, buildings=names, trouble={names[0]: "unreachable"}, shard=shard)
        told.update(body["payload"]["target"]["building"] for body in bodies)
        assert report.elsewhere == 12 - len(bodies)
        assert all(_gaps(body["payload"]) for body in bodies if body["payload"]["target"]["building"] == names[0])
    assert told == {name: 3 if name == names[0] else 1 for name in names}
    assert Counter(closed) == dict.fromkeys(names[1:], 3)


def test_places_that_a_shard_cannot_list(store):
    """A shard that cannot list the places says so, whichever places would have been its own."""
    for index in range(3):
        _, bodies = _run(store, trouble={"north": "listing"}, shard=Shard(index, 3))
        assert [_gaps(body["payload"]) for body in bodies] == [[("unavailable", None, "acme:ListBuildings", None)]]


def test_only_what_is_asked_again_is_remembered():
    """An answer is kept where several ask with its permission, where its reader says so, and where none is needed."""
    calls = Counter()
    reads = Reads(frozenset({"doors:list"}))

    def read(operation, **how):
        return reads.read(operation, {"page": 1}, lambda: calls.update([operation]) or operation, **how)

    for _ in range(3):
        assert read("ListDoors", permission="doors:list") == "ListDoors"
        assert read("ListLocks", permission="locks:list") == "ListLocks"
        assert read("ListKeys", permission="keys:list", keep=True) == "ListKeys"
        assert read("WhoAmI") == "WhoAmI"
    assert calls == {"ListDoors": 1, "ListLocks": 3, "ListKeys": 1, "WhoAmI": 1}


def test_a_failure_is_remembered_and_keeps_nothing_alive():
    """A denied read is tried once; each reader gets an error of its own, and what was in reach of it is let go."""

    class Response(dict):
        pass

    gone, calls = [], Counter()

    def denied():
        response = Response()
        gone.append(weakref.ref(response))
        calls.update(["ListDoors"])
        cause = ValueError("AccessDenied")
        raise AccessDenied("shut", operation="ListDoors", permission="doors:list") from cause

    reads, errors = Reads(), []
    for _ in range(3):
        with pytest.raises(AccessDenied) as caught:
            reads.read("ListDoors", {}, denied)
        errors.append(caught.value)
    assert calls == {"ListDoors": 1}
    assert len({id(error) for error in errors}) == 3
    assert {(str(error), error.permission, str(error.__cause__)) for error in errors} == {
        ("ListDoors: shut", "doors:list", "AccessDenied")
    }
    del errors, caught
    assert gone[0]() is None


def test_places_that_cannot_be_listed(store):
    """Where the list of places breaks, what was listed is read, and each type has a gap of the whole source."""
    _, bodies = _run(store, buildings=["north", "south"], trouble={"south": "listing"})
    assert [(body["payload"]["target"], _gaps(body["payload"])) for body in bodies] == [
        ({"building": "north"}, []),
        ({"source": "acme"}, [("unavailable", None, "acme:ListBuildings", None)]),
    ]


def test_evidence_that_nobody_asks_for(store, closed):
    """A type without a control is not collected, and the report names it once."""
    mapping = ControlMap({"acme_door_locks": ["ctrl_a"]}, None)
    report, bodies = _run(store, "locks", "hinges", buildings=["north", "south"], controls=mapping)
    assert len(bodies) == 2
    assert report.unmapped == ["acme_door_hinges"]
    report, bodies = _run(store, controls=ControlMap({}, None))
    assert (report.observed, bodies) == ([], [])
    assert sorted(closed) == ["north", "north", "south"]


def test_a_control_that_the_workspace_lacks(store):
    """A place that names a control nobody knows has a gap for it, and evidence for the controls that there are."""
    mapping = ControlMap(MAP, _known("ctrl_a"))
    collector = _collector("locks", controls=["ctrl_a", "ctrl_x", "ctrl_a"])
    loaded = Loaded(Config(state_dir=store.directory), {}, None)
    report = run_collector(loaded, store, collector, mapping, cancelled=threading.Event())
    (observed,) = report.observed
    assert (observed.controls, observed.gaps, len(observed.items)) == (("ctrl_a",), 1, 1)
    assert observed.told[0].message == "the workspace has no control ctrl_x"
    assert observed.kinds == {"invalid": 1}
    collector = _collector("locks", controls=["ctrl_x"])
    report = run_collector(loaded, store, collector, mapping, cancelled=threading.Event())
    assert [(observed.state, observed.gaps) for observed in report.observed] == [("unmapped", 1)]


def test_a_snapshot_that_fits_nowhere(store):
    """A snapshot whose account fits into no payload is a gap that names the limit; other types go on."""
    long = "x" * 19_000
    report, bodies = _run(store, "locks", "hinges", buildings=[long, "south"], limit=20_000)
    assert Counter(observed.state for observed in report.observed) == {"unkept": 2, "queued": 2}
    assert len(bodies) == 2
    unkept = next(observed for observed in report.observed if observed.state == "unkept")
    assert (unkept.gaps, unkept.items) == (1, ())
    assert "delivery.max_payload_bytes" in unkept.told[0].message


@pytest.mark.parametrize("rows", [60_000, 20_000])
def test_a_disk_that_fills_while_something_is_read(store, tmp_path, rows):
    """What there is no room for on the disk is a gap that says so, be it the last line only; other files are read."""
    hour_ago = time.time() - 3600
    for name, content in {"large.csv": "name\n" + "alice\n" * rows, "small.csv": "name\nbob\n"}.items():
        file = tmp_path / "evidence" / "ctrl_a" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        os.utime(file, (hour_ago, hour_ago))
    settings = registry.source("manual").settings(path=tmp_path / "evidence")
    collector = Collector("manual", Common(), settings, registry.evidence_types("manual"))
    loaded = Loaded(Config(state_dir=store.directory), {}, None)
    with limited(1_027_000):
        report = run_collector(loaded, store, collector, ControlMap({}, None), cancelled=threading.Event())
    large, small = sorted(report.observed, key=lambda one: one.target)
    assert (large.state, large.records, large.gaps, large.kinds) == ("queued", 0, 1, {"omitted": 1})
    assert large.told[0].message == "what was observed does not fit on the disk: File too large"
    assert (small.state, small.gaps) == ("queued", 0)


# ── What need not be seen again ────────────────────────────────────────────────────────────────────────────────────


def test_a_revision_that_was_taken(store, closed):
    """A place whose revision was queued before is not read again; a new revision supersedes the old snapshot."""
    first, _ = _run(store, revision="r1")
    again, bodies = _run(store, revision="r1")
    assert ([observed.state for observed in again.observed], bodies) == (["unchanged"], [])
    _, (body,) = _run(store, revision="r2")
    assert body["payload"]["collection"]["supersedes"] == first.observed[0].snapshot_id
    assert closed == ["north"] * 3


def test_a_control_that_comes_later(store, closed):
    """What a place names before the workspace has it gets the revision once it is there, and each revision once."""
    states = []
    for known in (["ctrl_a"], ["ctrl_a"], ["ctrl_x", "ctrl_a"], ["ctrl_a", "ctrl_x"]):
        mapping = ControlMap(MAP, _known(*known))
        report, bodies = _run(store, controls=mapping, revision="r1", own_controls=["ctrl_a", "ctrl_x"])
        states.append((report.observed[0].state, report.gaps, [body["control_id"] for body in bodies]))
    assert states == [
        ("queued", 1, ["ctrl_a"]), ("unchanged", 1, []), ("queued", 0, ["ctrl_a", "ctrl_x"]), ("unchanged", 0, [])
    ]  # fmt: skip


def test_a_control_that_is_mapped_later(store, closed):
    """A control that the configuration or a test policy adds gets the revision that others have already."""
    states = []
    for controls in (["ctrl_a"], ["ctrl_a", "ctrl_b"], ["ctrl_b", "ctrl_a"]):
        report, bodies = _run(store, controls=ControlMap({"acme_door_locks": controls}, None), revision="r1")
        states.append((report.observed[0].state, [body["control_id"] for body in bodies]))
    assert states == [("queued", ["ctrl_a"]), ("queued", ["ctrl_a", "ctrl_b"]), ("unchanged", [])]


def test_a_revision_with_a_gap_is_read_again(store):
    """A place that was read with a gap is read again at each run until it was read whole."""
    for _ in range(2):
        report, _ = _run(store, revision="r1", trouble={"locks": "midway"})
        assert [observed.state for observed in report.observed] == ["queued"]
    report, _ = _run(store, revision="r1")
    assert [observed.state for observed in report.observed] == ["queued"]
    report, _ = _run(store, revision="r1")
    assert [observed.state for observed in report.observed] == ["unchanged"]


def _period(payload):
    period = payload["collection"]["period"]
    return datetime.fromisoformat(period["since"]), datetime.fromisoformat(period["until"])


def test_a_population_in_time(store):
    """The first run looks back over the window, the next from where the last whole one ended, to the millisecond."""
    before = datetime.now(UTC)
    since, until = _period(_payload(store, "visits"))
    assert until - since == timedelta(days=7)
    assert until < before  # by the time that the source takes to show what happened
    again, until_again = _period(_payload(store, "visits"))
    assert again == until
    incomplete, _ = _period(_payload(store, "visits", trouble={"visits": "denied"}))
    assert incomplete == until_again
    omitted, until_omitted = _period(_payload(store, "visits", trouble={"visits": "omitted"}))
    assert omitted == until_again
    assert _period(_payload(store, "visits"))[0] == until_omitted


PLACE = ("acme", "acme_door_visits", "north")


def _read_until(store, instant):
    """The population was read up to then."""
    snapshot_id = Outbox(store).checkpoint(*PLACE).snapshot_id
    store.write(lambda connection: checkpoints.put(connection, PLACE, Checkpoint(instant, None, snapshot_id)))


def test_what_the_source_no_longer_keeps(store):
    """Where the last run was longer ago than the source keeps, the part that is lost is a gap, told once."""
    long_ago = datetime.now(UTC) - timedelta(days=90)
    _run(store, "visits")
    _read_until(store, long_ago)
    payload = _payload(store, "visits")
    since, until = _period(payload)
    assert timedelta(days=29) < until - since < timedelta(days=30)
    assert [gap["kind"] for gap in payload["gaps"]] == ["omitted"]
    assert f"from {long_ago:%Y-%m-%d %H:%M}" in payload["gaps"][0]["message"]
    assert _payload(store, "visits")["gaps"] == []


def test_a_gap_that_stays(store):
    """What had a gap is read again for as long as the window; then what is longer ago stays as it was told."""
    denied, now = {"visits": "denied"}, datetime.now(UTC)
    _run(store, "visits")
    _read_until(store, now - timedelta(days=20))
    for _ in range(2):
        since, until = _period(_payload(store, "visits", trouble=denied))
        assert since == _to_the_millisecond(now - timedelta(days=20))
    _incomplete_since(store, now - timedelta(days=8))
    assert _period(_payload(store, "visits", trouble=denied))[0] == since
    since, until = _period(_payload(store, "visits", trouble=denied))
    assert until - since == pytest.approx(timedelta(days=7), abs=timedelta(minutes=1))
    _, whole = _period(_payload(store, "visits"))
    assert _period(_payload(store, "visits", trouble=denied))[0] == whole
    assert Outbox(store).checkpoint(*PLACE).incomplete_since > now


def _to_the_millisecond(instant):
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _incomplete_since(store, instant):
    """Reads have had gaps for so long."""
    checkpoint = replace(Outbox(store).checkpoint(*PLACE), incomplete_since=instant)
    store.write(lambda connection: checkpoints.put(connection, PLACE, checkpoint))


def test_what_a_run_cut_short_had_read(store, closed):
    """The run that makes up for it reads only the rest; once one comes to its end, the next reads all anew."""
    from acme.targets import Building

    Building.counted.clear()
    with pytest.raises(Cancelled):
        _run(store, "steps", stops_before=3)
    assert Building.counted == [1, 2]
    _, (body,) = _run(store, "steps")
    assert [record["number"] for record in body["payload"]["records"]] == [10, 20, 30]
    assert Building.counted == [1, 2, 3]
    _run(store, "steps")
    assert Building.counted == [1, 2, 3, 1, 2, 3]
    assert not [path for path in store.directory.iterdir() if path.name.startswith("unfinished")]


def test_an_account_of_a_run_cut_short_that_is_damaged(store, closed):
    """What is no account of anything read is passed over, whatever it is."""
    file = store.directory / "unfinished-acme.jsonl"
    file.write_bytes(b'1\n[]\n{"key": "north/1"}\n\xff\n{"key": "north/1", "at": 0, "value": 7')
    _, (body,) = _run(store, "steps")
    assert [record["number"] for record in body["payload"]["records"]] == [10, 20, 30]


def test_a_run_of_some_types_reads_all_anew(store):
    """What somebody wants to know now is not told from notes: neither those of a run cut short, nor its own."""
    from acme.targets import Building

    with pytest.raises(Cancelled):
        _run(store, "steps", "locks", stops_before=3)
    collector = _collector("steps", "locks")
    steps = [kind for kind in collector.types if kind.observe.__name__ == "steps"]
    loaded, mapping = Loaded(Config(state_dir=store.directory), {}, None), ControlMap(MAP, None)
    Building.counted.clear()
    for _ in range(2):
        run_collector(loaded, store, collector, mapping, cancelled=threading.Event(), types=steps)
    assert Building.counted == [1, 2, 3, 1, 2, 3]
    Building.counted.clear()
    _run(store, "steps", "locks")
    assert Building.counted == [3]


def test_people_are_written_as_pseudonyms(store, tmp_path):
    """With pseudonymize, a person's name is in no payload, which says so; without a usable key nothing is read."""
    key = tmp_path / "key"
    key.write_text("k" * 64)
    payload = _payload(store, "visits", common=Common(pseudonymize=True, pseudonym_key_file=key))
    assert payload["collection"]["pseudonymized"] is True
    assert payload["records"][0]["host"].startswith("person-")
    key.write_text("short")
    payload = _payload(store, "visits", common=Common(pseudonymize=True, pseudonym_key_file=key))
    assert payload["records"] == []
    assert "openssl rand" in payload["gaps"][0]["message"]
    assert _payload(store, "visits")["records"][0]["host"] == "Ada"


def test_a_clock_set_back(store):
    """Where the last run ended in the future, the next one reads nothing before now, and goes on from there."""
    _run(store, "visits")
    _read_until(store, datetime.now(UTC) + timedelta(days=1))
    since, until = _period(_payload(store, "visits"))
    assert since == until


# ── The run ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_is_written_down(store):
    """A run has its beginning, its end, its counts, its outcome, and the first gap in words."""
    _run(store, "locks", "hinges", trouble={"locks": "one denied"})
    run = Runs(store).latest("acme")
    assert (run.outcome, run.snapshots, run.records, run.gaps, run.items) == ("incomplete", 2, 4, 1, 2)
    assert run.message == "door/2: a guard stands there"
    assert run.started_at <= run.finished_at <= time.time()
    _run(store)
    assert Runs(store).latest("acme").outcome == "complete"
    assert Runs(store).prune(before=time.time() + 1) == 2


class Watching:
    def __init__(self, cancelled):
        self.cancelled = cancelled
        self.told = []

    def started(self, evidence_type, target):
        self.told.append(("started", evidence_type, target))

    def advanced(self, evidence_type, target, observations):
        self.told.append(("advanced", evidence_type, observations))
        if evidence_type == "acme_door_waits" and observations >= 3:
            self.cancelled.set()

    def waiting(self, reason, seconds):
        pass

    def finished(self, observed):
        self.told.append(("finished", observed.evidence_type, observed.records))


def test_a_run_is_watched(store):
    """Whoever watches sees each observation begin, advance and end."""
    watching = Watching(threading.Event())
    _run(store, progress=watching)
    kind = "acme_door_locks"
    advances = [("advanced", kind, number) for number in (1, 2, 3)]
    assert watching.told == [("started", kind, "north"), *advances, ("finished", kind, 3)]


def test_a_run_that_is_cancelled(store, closed):
    """A run that is told to stop keeps nothing that it was reading, has no end, and closes what it opened."""
    cancelled = threading.Event()
    names = [f"b{number}" for number in range(40)]
    with pytest.raises(Cancelled):
        _run(
            store, "waits", "locks", buildings=names, trouble={"waits": "yes"}, cancelled=cancelled,
            progress=Watching(cancelled),
        )  # fmt: skip
    assert not [item for item in Outbox(store).items() if item.evidence_type == "acme_door_waits"]
    run = Runs(store).latest("acme")
    assert (run.finished_at, run.outcome) == (None, None)
    assert Runs(store).latest("acme", finished=True) is None
    assert Counter(closed).most_common(1)[0][1] == 1
    assert len(closed) < 40


def test_a_run_that_is_cancelled_before_it_begins(store, closed):
    """A run that is told to stop at once reads nothing."""
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        _run(store, cancelled=cancelled)
    assert list(Outbox(store).items()) == []


def test_an_outbox_that_takes_nothing(store, closed):
    """Where the outbox cannot keep a snapshot, the run fails, without an end, and closes what it opened."""
    trigger = "CREATE TRIGGER full BEFORE INSERT ON item BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    store.write(lambda connection: connection.execute(trigger))
    with pytest.raises(Exception, match="disk is full"):
        _run(store, "locks", "hinges", buildings=[f"b{number}" for number in range(40)])
    assert Runs(store).latest("acme").finished_at is None
    assert Counter(closed).most_common(1)[0][1] == 1
    assert list(store.directory.glob("tmp*")) == []


def test_two_runs_of_one_collector(store):
    """While one process is at a collector nobody else is, and another collector is free."""
    with (
        lock(store.directory, "collector-acme"),
        pytest.raises(Locked, match=r"is already at work on .* \(collector-acme\)"),
    ):
        _run(store)
    assert Runs(store).latest("acme") is None
    with lock(store.directory, "collector-other"):
        _run(store)


def test_a_dry_run():
    """A dry run writes each payload on a line, mapped or not, and keeps nothing."""
    lines = []
    printer = Printer(lines.append, shape="snapshot", limit=1_000_000)
    collector = _collector("locks", "hinges")
    nothing = ControlMap({}, None)
    collection = Collection(collector, collector.types, nothing, printer, cancelled=threading.Event(), unmapped=True)
    report = collection.run()
    assert sorted(json.loads(line)["evidence_type"] for line in lines) == ["acme_door_hinges", "acme_door_locks"]
    assert all(line.count(b"\n") == 1 for line in lines)
    assert {observed.state for observed in report.observed} == {"printed"}
    assert report.items == []
    assert printer.checkpoint("acme_door_locks", "north") is None


def test_a_checkpoint_is_of_its_place(store):
    """What was read at one place says nothing of another, nor of another collector."""
    _run(store, revision="r1", buildings=["north"])
    checkpoint = Outbox(store).checkpoint("acme", "acme_door_locks", "north")
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.revision
    report, _ = _run(store, revision="r1", buildings=["south"])
    assert [observed.state for observed in report.observed] == ["queued"]
