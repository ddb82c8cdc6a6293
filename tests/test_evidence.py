import hashlib
import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from agent_fixtures import AT, Fact, gap, snapshot, whole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.canonical import canonical, widest
from agent.evidence import PayloadLimitTooSmall, evidence, payloads, stamp
from agent.pseudonym import keyed
from collectors.contract import Journal, Period, Record

CONTROLS = ["ctrl_ac_02", "ctrl_é_💥"]
SMALL = 6_000

shapes = pytest.mark.parametrize("shape", ["snapshot", "record"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.sampled_from(["é💥" * 700]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=8,
)
records = st.builds(Fact, name=st.text(max_size=40), value=values)
gaps = st.builds(gap, st.text(max_size=40), st.text(max_size=200))


def _bodies(made):
    return [json.loads(piece.body, parse_int=float) for piece in made]


def _parts(snap, shape, limit=SMALL, controls=("ctrl_ac_02",)):
    return [body["payload"] for body in _bodies(evidence(snap, controls, shape=shape, limit=limit))]


def _noise(size):
    return random.Random(7).randbytes(size).hex()


def _as_lists(payload):
    """A payload of the shape `record` as one of the shape `snapshot`."""
    flat = {name: value for name, value in payload.items() if name != "collection"}
    return {"records": [], "gaps": flat["gaps"]} if set(flat) == {"gaps"} else {"records": [flat], "gaps": []}


# ── Laws ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@shapes
@given(observations=st.lists(records | gaps, max_size=12), limit=st.integers(SMALL, 30_000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_record_arrives_whole_and_no_body_is_too_large(shape, observations, limit):
    """Whatever was seen comes back whole and in order, and no body is over the limit in any encoding."""
    with snapshot(*observations) as snap:
        made = list(evidence(snap, CONTROLS, shape=shape, limit=limit))
        seen = [json.loads(line.content, parse_int=float) for line in snap.observations if not line.is_gap]
        lost = [json.loads(line.content, parse_int=float) for line in snap.observations if line.is_gap]
        collection = snap.collection
    assert all(len(piece.body) <= limit and widest(json.loads(piece.body, parse_int=float)) <= limit for piece in made)
    for control in CONTROLS:
        parts = [body["payload"] for body in _bodies(made) if body["control_id"] == control]
        numbered = [(part["collection"]["part"], part["collection"]["parts"]) for part in parts]
        assert numbered == [(number, len(parts)) for number in range(1, len(parts) + 1)]
        lists = parts if shape == "snapshot" else [_as_lists(part) for part in parts]
        assert (whole(lists), whole(lists, "gaps")) == (seen, lost)
        for part in parts:
            told = {name: value for name, value in part["collection"].items() if name in collection}
            assert told == json.loads(canonical(collection), parse_int=float)


@shapes
@given(observations=st.lists(records | gaps, max_size=6))
@settings(max_examples=30, deadline=None)
def test_splitting_is_deterministic(shape, observations):
    """The same snapshot makes the same bytes and keys each time; bodies that differ have keys that differ."""
    with snapshot(*observations) as one, snapshot(*observations) as other:
        first = list(evidence(one, CONTROLS, shape=shape, limit=SMALL))
        assert [(piece.body, piece.key) for piece in first] == [
            (piece.body, piece.key) for piece in evidence(other, CONTROLS, shape=shape, limit=SMALL)
        ]
        assert len({piece.key for piece in first}) == len(first)
        assert one.id == other.id


@given(st.lists(records, max_size=8))
@settings(max_examples=30, deadline=None)
def test_the_receiver_can_compute_the_digest(facts):
    """The digest of all records follows from the records as they arrived."""
    with snapshot(*facts, gap()) as snap:
        parts = [
            json.loads(part.content, parse_int=float) for part in payloads(snap, [], shape="snapshot", limit=SMALL)
        ]
    seen = hashlib.sha256(b"".join(canonical(record) + b"\n" for record in whole(parts)))
    assert {part["collection"]["records_digest"] for part in parts} == {f"sha256:{seen.hexdigest()}"}


@shapes
@pytest.mark.parametrize("controls", [[], ["c"], ["x" * 200]])
def test_a_part_is_filled(shape, controls):
    """In the shape `snapshot` a part has as many records as fit; in `record` each has one."""
    with snapshot(*(Fact(name=str(number), value="x" * 80) for number in range(200))) as snap:
        sizes = [len(part.content) for part in payloads(snap, controls, shape=shape, limit=20_000)]
    assert len(sizes) == (200 if shape == "record" else 2)
    if shape == "snapshot":
        assert sizes[0] > 18_500 - len("".join(controls))


# ── Stories ────────────────────────────────────────────────────────────────────────────────────────────────────────


@shapes
def test_having_seen_nothing_is_evidence(shape):
    """A snapshot without records makes one complete part that says so."""
    with snapshot() as snap:
        (part,) = _parts(snap, shape)
    assert part.get("records", []) == []
    assert part["gaps"] == []
    told = part["collection"]
    assert (told["records"], told["gaps"], told["complete"], told["part"], told["parts"]) == (0, 0, True, 1, 1)


def test_the_payload():
    """The payload in the shape `snapshot` is as the documentation says, name by name."""
    journal = Journal()
    journal.note("s3:ListBuckets", "{}", permission="s3:ListAllMyBuckets", reused=False)
    period = Period(AT - timedelta(days=1), AT)
    with snapshot(Fact(name="a", value=1), gap(), journal=journal, period=period, supersedes="snap_0") as snap:
        (body,) = _bodies(evidence(snap, ["ctrl_ac_02"], shape="snapshot", limit=SMALL))
    assert list(body) == ["collected_at", "control_id", "payload", "source"]
    assert (body["collected_at"], body["control_id"], body["source"]) == (stamp(AT), "ctrl_ac_02", "aws")
    assert body["payload"] == {
        "evidence_type": "aws_s3_bucket_encryption",
        "schema_version": 1,
        "target": {"account": "123456789012", "region": "eu-central-1"},
        "records": [{"name": "a", "value": 1}],
        "gaps": [gap().model_dump()],
        "collection": body["payload"]["collection"],
    }
    told = body["payload"]["collection"]
    assert told["complete"] is False
    assert told["operations"] == {
        "s3:ListBuckets": {"calls": 1, "reused": 0, "distinct_parameters": 1, "parameters": [{}]}
    }
    assert told["period"] == {"since": "2026-04-14T09:14:22.120Z", "until": "2026-04-15T09:14:22.120Z"}
    assert (told["supersedes"], told["identity"]) == ("snap_0", "arn:aws:iam::123456789012:role/chequr")
    assert told["snapshot_id"] == snap.id


def test_the_payload_of_one_record():
    """In the shape `record` the record's own fields stand flat beside `collection`, gaps in a part of their own."""
    with snapshot(Fact(name="a", value=1), gap(), Fact(name="b", value=2)) as snap:
        parts = _parts(snap, "record")
    assert [set(part) - {"collection"} for part in parts] == [{"name", "value"}, {"gaps"}, {"name", "value"}]
    assert parts[0]["collection"]["target"] == {"account": "123456789012", "region": "eu-central-1"}
    assert parts[0]["collection"]["evidence_type"] == "aws_s3_bucket_encryption"


def test_many_gaps_share_a_part():
    """In the shape `record` gaps that follow each other go together, as many as fit."""
    with snapshot(*(gap(f"bucket/{number}") for number in range(1000))) as snap:
        parts = _parts(snap, "record", limit=100_000)
    assert 2 <= len(parts) <= 5
    assert sum(len(part["gaps"]) for part in parts) == 1000


class Collected(Record):
    collection: str


def test_a_record_with_a_field_named_as_ours():
    """A record's own `collection` is not lost to the agent's."""
    with snapshot(Collected(collection="acme")) as snap:
        (part,) = _parts(snap, "record")
    assert part["record"] == {"collection": "acme"}
    assert part["collection"]["records"] == 1


@shapes
def test_a_record_larger_than_a_part(shape):
    """A record of five megabytes is carried whole over several parts."""
    value = _noise(2_500_000)
    with snapshot(Fact(name="before", value=1), Fact(name="big", value=value), Fact(name="after", value=1)) as snap:
        made = list(evidence(snap, ["ctrl_ac_02"], shape=shape, limit=1_000_000))
    assert all(len(piece.body) <= 1_000_000 for piece in made)
    parts = [body["payload"] for body in _bodies(made)]
    lists = parts if shape == "snapshot" else [_as_lists(part) for part in parts]
    assert [record["name"] for record in whole(lists)] == ["before", "big", "after"]
    assert whole(lists)[1]["value"] == value


@shapes
def test_a_large_number_is_written_again(shape):
    """A double that RFC 8785 writes with 17 digits comes back as that double."""
    with snapshot(Fact(name="a", value=7.189595222613749e16)) as snap:
        (part,) = _parts(snap, shape)
    (record,) = part["records"] if shape == "snapshot" else [part]
    assert float(record["value"]) == 7.189595222613749e16


def test_a_limit_that_is_too_small():
    """A limit that leaves no room for records is an error that names the type, the need and the key to change."""
    with snapshot(target={"name": "x" * 5_000}) as snap, pytest.raises(PayloadLimitTooSmall) as caught:
        list(evidence(snap, ["c"], shape="snapshot", limit=5_000))
    assert "aws_s3_bucket_encryption needs" in str(caught.value)
    assert "delivery.max_payload_bytes, which is 5,000" in str(caught.value)
    need = int(str(caught.value).split("needs ")[1].split(" bytes")[0].replace(",", ""))
    with snapshot(target={"name": "x" * 5_000}) as snap:
        assert list(evidence(snap, ["c"], shape="snapshot", limit=need))


def test_the_account_of_reads_is_bounded():
    """However many operations and parameters a snapshot rests on, there is room for its records."""
    journal = Journal()
    for number in range(2_000):
        journal.note(f"GET /repos/acme/{number}", json.dumps({"query": "x" * 5_000}), permission=None, reused=False)
    for number in range(10_000):
        journal.note("s3:GetBucketEncryption", json.dumps({"Bucket": str(number)}), permission=None, reused=True)
        journal.note("s3:GetBucketEncryption", json.dumps({"Bucket": str(number)}), permission=None, reused=False)
    with snapshot(journal=journal) as snap:
        told = snap.collection["operations"]
        (part,) = payloads(snap, [], shape="snapshot", limit=20_000)
    assert told["s3:GetBucketEncryption"]["calls"] == told["s3:GetBucketEncryption"]["reused"] == 10_000
    assert told["s3:GetBucketEncryption"]["parameters_digest"].startswith("sha256:")
    assert told["(others)"] == {"operations": 1951, "calls": 1951, "reused": 0}
    assert len(part.content) < 20_000


def test_reads_name_nobody_where_people_are_pseudonyms():
    """With pseudonyms the parameters of reads, which may be names of people, are counted, not told or digested."""
    journal = Journal()
    journal.note("iam:ListMFADevices", '{"UserName":"ada"}', permission=None, reused=False)
    with snapshot(journal=journal) as snap:
        snap.observations.pseudonym = keyed("k" * 32)
        assert snap.collection["operations"] == {
            "iam:ListMFADevices": {"calls": 1, "reused": 0, "distinct_parameters": 1}
        }


def test_secrets_in_what_surrounds_the_records():
    """The target, the identity and the parameters of reads are scrubbed like records."""
    journal = Journal()
    journal.note("x:Y", '{"NextToken": "abc", "url": "https://u:p@acme.io"}', permission=None, reused=False)
    with snapshot(target={"url": "https://u:hunter2@acme.io"}, identity="ghp_" + "a" * 36, journal=journal) as snap:
        text = json.dumps(_parts(snap, "snapshot"))
    assert not [secret for secret in ("hunter2", "ghp_", "abc", "u:p") if secret in text]


def test_a_snapshot_is_known_by_what_was_seen_where_and_when():
    """Another record, target, type or instant is another snapshot."""
    changes = [
        {}, {"target": {}}, {"evidence_type": "x"}, {"finished": AT + timedelta(milliseconds=1)},
    ]  # fmt: skip
    ids = set()
    for change in changes:
        with snapshot(Fact(name="a", value=1), **change) as snap:
            ids.add(snap.id)
    with snapshot(Fact(name="b", value=1)) as snap:
        ids.add(snap.id)
    assert len(ids) == 5
    assert all(len(one) == 29 and one.startswith("snap_") for one in ids)


def test_instants_are_utc_to_the_millisecond():
    """Whatever zone an instant comes in, it is written in UTC with three decimals."""
    assert stamp(datetime(2026, 4, 15, 11, 14, 22, 120_999, timezone(timedelta(hours=2)))) == "2026-04-15T09:14:22.120Z"
    assert stamp(datetime(2026, 4, 15, tzinfo=UTC)) == "2026-04-15T00:00:00.000Z"


_POPULATION = """
import resource, sys
sys.path.insert(0, "tests")
from agent_fixtures import Fact, snapshot
from agent.evidence import evidence
with snapshot() as snap:
    used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(int(sys.argv[1])):
        snap.observations.append(Fact(name=f"user-{number}", value="x" * 200))
    parts = sum(1 for _ in evidence(snap, ["ctrl_ac_02"], shape="snapshot", limit=1_000_000))
    print(parts, used())
"""


def test_memory_does_not_grow_with_the_population():
    """A hundred thousand records take hardly more memory than five thousand."""
    small, large = (
        [int(word) for word in subprocess.check_output([sys.executable, "-c", _POPULATION, str(number)]).split()]
        for number in (5_000, 100_000)
    )
    assert (small[0], large[0]) == (2, 24)
    assert large[1] - small[1] < 8_000  # kilobytes
