"""What the workspace needs and whether it gets it."""

import re
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from agent.controls import ControlMap, Discovery, KnownControl
from agent.coverage import Expiring, Known, Lack, cover
from agent.evidence import stamp
from agent.exit import Exit
from agent.ledger import Latest
from agent.store import DATABASE
from tests.command import ROOT, Agent, eventually, make_agent

NOW = datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)
S3, IAM = "aws_s3_bucket_encryption", "aws_iam_password_policy"
HOUR = 3600.0


def control(id_="ctrl_1", evaluator=S3, cadence="daily"):
    return KnownControl(
        id=id_, name="n", framework="soc2", code="CC1", evaluator=evaluator, cadence=cadence, status="passing"
    )


def latest(id_="ctrl_1", kind=S3, *, age=HOUR, collector="aws"):
    return Latest(id_, kind, collector, "aws", 1, f"ev_{kind}", stamp(NOW - timedelta(seconds=age)), 0)


def covered(*controls, seen=(), collected=(S3,), configured=None, **more):
    """The rows, and what lacks as its kind, its subject and its words."""
    discovery = Discovery(base_url="b", fetched_at=time.time(), controls=controls)
    known = Known(
        ControlMap(configured or {}, discovery),
        seen,
        types=frozenset({S3, IAM, "manual_files_content"}),
        sources=frozenset({"manual"}),
        self_spoken=frozenset({"manual_files_content"}),
        **{"collectors": {kind: ["aws"] for kind in collected}, "enabled": frozenset({"manual"})} | more,
    )
    rows, lacks = cover(known, now=NOW)
    return rows, [(lack.kind, lack.subject, lack.message) for lack in lacks]


def test_all_is_well():
    """A control with fresh evidence lacks nothing."""
    (row,), lacks = covered(control(), seen=[latest()], statuses={"ctrl_1": "passing"})
    assert (row.types, row.collectors, row.evidence_id, row.state, row.status) == (
        [S3], ["aws"], f"ev_{S3}", "fresh", "passing",
    )  # fmt: skip
    assert lacks == []


@pytest.mark.parametrize(
    ("age", "cadence", "state"),
    [
        (25 * HOUR, "daily", "due"),
        (37 * HOUR, "daily", "stale"),
        (37 * HOUR, "weekly", "fresh"),
        (2 * HOUR, "hourly", "stale"),
        (37 * HOUR, None, "unknown"),
    ],
)
def test_the_age_of_evidence(age, cadence, state):
    """Its age is held against the control's cadence; without one nothing is said, and only stale evidence lacks."""
    (row,), lacks = covered(control(cadence=cadence), seen=[latest(age=age)])
    assert row.state == state
    assert [kind for kind, *_ in lacks] == (["evidence"] if state == "stale" else [])


def test_the_oldest_of_several_types_counts():
    """Where one of a control's types is missing or old, the control is no fresher than that."""
    configured = {S3: ["ctrl_1"], IAM: ["ctrl_1"]}
    (row,), _ = covered(control(), seen=[latest()], configured=configured, collected=(S3, IAM))
    assert (row.state, row.evidence_id) == ("never", None)
    seen = [latest(), latest(kind=IAM, age=40 * HOUR)]
    (row,), _ = covered(control(), seen=seen, configured=configured, collected=(S3, IAM))
    assert (row.state, row.evidence_id) == ("stale", f"ev_{IAM}")


def test_each_collector_of_a_type_counts():
    """Where two collectors have a type, the control is no fresher than the evidence of each; of none other."""
    both = {"collectors": {S3: ["one", "two"]}}
    seen = [latest(collector="one"), latest(collector="gone", age=80 * HOUR)]
    (row,), _ = covered(control(), seen=seen, **both)
    assert row.state == "never"
    (row,), _ = covered(control(), seen=[*seen, latest(collector="two", age=40 * HOUR)], **both)
    assert row.state == "stale"
    (row,), _ = covered(control(), seen=[*seen, latest(collector="two")], **both)
    assert row.state == "fresh"


@pytest.mark.parametrize(
    ("given", "more", "lack"),
    [
        (
            control(evaluator="aws_s3_bucket_encrypton"), {"collected": ()},
            ("evaluator", f"no evidence type is called aws_s3_bucket_encrypton (did you mean {S3}?), which it wants"),
        ),
        (
            control(evaluator="gcp_s3_bucket_encryption"), {"collected": ()},
            ("evaluator", "no evidence type is called gcp_s3_bucket_encryption, which it wants"),
        ),
        (control(evaluator=None), {"collected": ()}, ("evidence", "it has no evaluator, and no evidence is for it")),
        (control(evaluator="manual"), {"collected": ()}, ("evidence", "it wants manual, and no evidence is for it")),
        (
            control(evaluator="manual"), {"collected": (), "enabled": frozenset()},
            ("collector", "no collector here is of the source manual, which it wants"),
        ),
        (
            control(evaluator="jamf_iam_password_policy"), {"collected": ()},
            ("evaluator", "no evidence type is called jamf_iam_password_policy, which it wants"),
        ),
        (control(evaluator="aws"), {"collected": ()}, ("evaluator", "no evidence type is called aws, which it wants")),
        (control(), {"collected": ()}, ("collector", f"no collector here has {S3}")),
        (control(), {}, ("evidence", "not all of its evidence was ever accepted")),
    ],
)  # fmt: skip
def test_what_keeps_evidence_from_a_control(given, more, lack):
    """The first thing that keeps it away is named."""
    _, ((kind, subject, message),) = covered(given, **more)
    assert (kind, subject) == (lack[0], "ctrl_1")
    assert message.startswith(lack[1])


def test_what_else_lacks():
    """A cadence that is not known, a type for no control, and a control that is not there."""
    _, lacks = covered(
        control(cadence="every other moon"), seen=[latest()], collected=(S3, IAM, "manual_files_content"),
        configured={"manual_files_content": ["ctrl_x"]},
    )  # fmt: skip
    assert [(kind, subject) for kind, subject, _ in lacks] == [
        ("cadence", "ctrl_1"), ("control", IAM), ("mapping", "ctrl_x"),
    ]  # fmt: skip


def test_evidence_with_gaps_is_no_more_than_that():
    """What could not be seen is told of evidence that is fresh, so that it does not read as a pass."""
    (row,), lacks = covered(control(), seen=[replace(latest(), gaps=2)])
    assert (row.state, row.gaps) == ("fresh", 2)
    assert lacks == [("gaps", "ctrl_1", "its last evidence is incomplete: 2 gaps")]


def test_what_is_only_a_note():
    """A type that no control asks for, or a word that is not known, leaves no control without evidence."""
    notes = {Lack(kind, "s", "m", "r").is_note: kind for kind in ("control", "evidence")}
    assert notes == {True: "control", False: "evidence"}


def test_manual_evidence_that_ends():
    """What holds for a month more is not told; what holds for less is, and what holds no longer is told first."""
    days = {"old": -1, "today": 0, "soon": 30, "later": 31}
    expiring = [Expiring("manual", name, ("ctrl_1",), date(2026, 4, 15) + timedelta(n)) for name, n in days.items()]
    _, lacks = covered(control(), seen=[latest()], expiring=expiring)
    assert lacks == [
        ("expiry", "old", "it has expired on 2026-04-14 (ctrl_1)"),
        ("expiry", "today", "it has expired on 2026-04-15 (ctrl_1)"),
        ("expiry", "soon", "it expires on 2026-05-15 (ctrl_1)"),
    ]


def test_a_thousand_controls():
    """Many controls are no more work each than few: the whole is one pass."""
    controls = [control(f"ctrl_{number:04}") for number in range(1000)]
    rows, lacks = covered(*controls, seen=[latest(f"ctrl_{number:04}") for number in range(1000)])
    assert (len(rows), {row.state for row in rows}, lacks) == (1000, {"fresh"}, [])


# ── The commands ──


def test_coverage_is_told(tmp_path, sandbox):
    """The command tells every control and what lacks, ends with 4 for that, and tells it without the API, too."""
    agent = make_agent(tmp_path, sandbox)
    agent.put("ctrl_gv_01/policy.txt.meta.toml", "expires = 2026-05-01\n")
    agent.put("ctrl_hr_01/training.csv")
    agent.put("ctrl_hr_01/training.csv.meta.toml", 'title = "half')
    agent.run("collect")
    done = agent.run("controls", "coverage")
    assert done.code == Exit.DIFFERENCE
    assert re.search(
        r"20 controls: \d with fresh evidence, 1 of them with gaps; \d+ things lacking, 1 note\.", done.out
    )
    assert "ctrl_ac_02: no collector here has aws_s3_bucket_encryption" in done.out
    told = agent.run("controls", "coverage", "--json").json
    rows = {row["control_id"]: row for row in told["controls"]}
    assert (rows["ctrl_bc_03"]["state"], rows["ctrl_bc_03"]["status"]) == ("fresh", "passing")
    assert rows["ctrl_bc_03"]["collectors"] == ["manual"]
    assert ("expiry", "ctrl_gv_01/policy.txt") in {(lack["kind"], lack["subject"]) for lack in told["lacks"]}
    away = agent.run("controls", "coverage", CHEQUR_AGENT__CHEQUR__TOKEN_FILE="none")
    assert (away.code, "ctrl_ac_02: no collector here" in away.out) == (Exit.DIFFERENCE, True)


def test_without_any_controls_it_says_so(tmp_path):
    """Where controls were never read there is nothing to compare, and the reason is told."""
    agent = Agent(tmp_path, "http://127.0.0.1:9/v1", {"CHEQUR_TOKEN": "t"})
    agent.configure()
    assert agent.run("controls", "coverage").code == Exit.UNDELIVERED


def test_a_policy_brings_evidence_more_often(tmp_path, sandbox):
    """A type that its control wants hourly is read in between, where that is overdue; the others wait for their run."""
    path = f"{ROOT}:{ROOT}/tests/third_party"
    agent = Agent(tmp_path, sandbox.url, {"CHEQUR_TOKEN": sandbox.write, "PYTHONPATH": path})
    agent.configure('[collectors.acme]\nschedule = "weekly"\ntypes = ["acme_door_locks", "acme_door_hinges"]\n')
    agent.state.mkdir()
    wants = {"ctrl_ac_02": ("acme_door_locks", "hourly"), "ctrl_bc_03": ("acme_door_hinges", "weekly")}
    known = tuple(control(id_, evaluator, cadence) for id_, (evaluator, cadence) in wants.items())
    Discovery(base_url=sandbox.url, fetched_at=time.time(), controls=known).save(agent.state)
    with agent.started("run") as daemon:
        eventually(lambda: len(sandbox.evidence) == 2, "the first run")
        daemon.stop()
    with closing(sqlite3.connect(agent.state / DATABASE)) as connection:
        connection.execute("UPDATE latest SET collected_at = strftime('%Y-%m-%dT%H:%M:%fZ', collected_at, '-2 hours')")
        connection.execute("UPDATE run SET started_at = started_at - 7200")
        connection.commit()
    with agent.started("run") as daemon:
        eventually(lambda: len(sandbox.evidence) == 3, "what is wanted hourly")
        daemon.stop()
    assert sandbox.evidence[-1].control_id == "ctrl_ac_02"
    with agent.started("run") as daemon:
        daemon.saw("agent.started")
        daemon.stop()
    assert len(sandbox.evidence) == 3
