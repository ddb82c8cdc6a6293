"""The ledger: entries that hang together, what goes from it, its seals, its proof, and what an auditor takes away."""

import base64
import hashlib
import json
import re
import sqlite3
import subprocess
import zipfile
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest
from agent_fixtures import NOW, made
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive import Archive, NoArchive
from agent.chain import ORIGIN, facts, link
from agent.exit import Exit
from agent.export import Export
from agent.items import Accept
from agent.ledger import Ledger
from agent.outbox import Outbox
from agent.proof import Entry, Proof
from agent.seal import SEALS, Seal, Seals, public_key, signing_key
from agent.sealing import Sealing
from agent.store import DATABASE, Store
from collectors.secret import SecretMissing
from tests.command import Agent

DAY = 86_400.0


def accept(store, *numbers, now=NOW):
    """Puts and accepts pieces, in this order; the numbers of their items."""
    outbox = Outbox(store)
    ids = {number: outbox.put("aws", "here", [made(number)], None, now=now)[0] for number in sorted(numbers)}
    outbox.claim(len(numbers), now=now)
    for number in numbers:
        outbox.settle([Accept(ids[number], f"ev_{number}", None, f"req_{number}")], now=now)
    return [ids[number] for number in numbers]


def forget(store, *, before):
    return Sealing(store, None).forget(before=before, now=before)


def test_entries_hang_together(store):
    """Each entry has the digest of the one before it, and its own follows from its facts, by RFC 8785 and SHA-256."""
    accept(store, 3, 1, 2)
    entries = list(Ledger(store).entries())
    assert [(entry.seq, entry.evidence_id) for entry in entries] == [(1, "ev_3"), (2, "ev_1"), (3, "ev_2")]
    assert [entry.previous for entry in entries] == [ORIGIN, entries[0].link, entries[1].link]
    entry = entries[1]
    told = {
        "seq": 2, "item": 1, "previous": entries[0].link, "evidence_id": "ev_1", "control_id": entry.control_id,
        "source": "aws", "collected_at": entry.collected_at, "created_at": None,
        "accepted_at": "2026-04-15T09:14:22.000Z", "request_id": "req_1", "idempotency_key": entry.key,
        "body": f"sha256:{hashlib.sha256(made(1).body).hexdigest()}", "size": len(made(1).body), "collector": "aws",
        "evidence_type": entry.evidence_type, "target": "here", "snapshot_id": entry.snapshot_id, "part": 1,
        "parts": 1, "records": entry.records, "gaps": 0,
    }  # fmt: skip
    content = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    assert entry.link == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert Ledger(store).head() == (3, entries[2].link)


def test_only_its_beginning_is_forgotten(store):
    """What was accepted long ago goes as far as it is the chain's beginning; the chain goes on from there."""
    ledger = Ledger(store)
    late, *_ = accept(store, 1)
    accept(store, 2, 3, now=NOW + DAY)
    accept(store, 4, now=NOW + 3 * DAY)
    assert late == 1
    assert forget(store, before=NOW + 2 * DAY) == 3
    (left,) = ledger.entries()
    assert (left.seq, left.evidence_id) == (4, "ev_4")
    accept(store, 5, now=NOW + 4 * DAY)
    assert [entry.previous for entry in ledger.entries()][1] == left.link


def test_the_last_entry_stays(store):
    """However old, the last entry is kept: the next one hangs on it."""
    accept(store, 2, 1)
    assert forget(store, before=NOW + 900 * DAY) == 0
    assert len(list(Ledger(store).entries())) == 2
    accept(store, 3, now=NOW + DAY)
    forget(store, before=NOW + 900 * DAY)
    assert [entry.evidence_id for entry in Ledger(store).entries()] == ["ev_3"]


def test_the_latest_of_each_control(store):
    """For each control and evidence type the last entry is known, and for each day what was accepted on it."""
    accept(store, 2, 1)
    accept(store, 3, now=NOW + DAY)
    ledger = Ledger(store)
    (latest,) = ledger.latest()
    assert (latest.evidence_id, latest.seq, latest.collector) == ("ev_3", 3, "aws")
    first = int(NOW // DAY)
    size = len(made(1).body)
    assert [(day.day, day.items, day.bytes) for day in ledger.days(0)] == [(first, 2, 2 * size), (first + 1, 1, size)]
    assert [day.day for day in ledger.days(first + 1)] == [first + 1]
    forget(store, before=NOW + DAY)
    assert (ledger.latest(), len(ledger.days(0))) == ([latest], 2)


def test_the_latest_is_what_was_collected_last(store):
    """A backlog that is accepted after fresh evidence does not take its place."""
    accept(store, 3)
    accept(store, 1)
    (latest,) = Ledger(store).latest()
    assert (latest.evidence_id, latest.collected) == ("ev_3", made(3).collected_at)


def test_the_gaps_of_all_targets_and_parts_count(store):
    """A place that could not be seen is not hidden by one that could, as long as it is read; nor a part by another."""
    outbox, number = Outbox(store), iter(range(1, 100))

    def accept_at(target, *gaps, hours=0):
        at = datetime(2026, 4, 15, tzinfo=UTC) + timedelta(hours=hours)
        parts = [replace(made(next(number)), gaps=each, collected_at=at, control_id="ctrl_1") for each in gaps]
        ids = outbox.put("aws", target, parts, None, now=NOW)
        outbox.claim(len(ids), now=NOW)
        outbox.settle([Accept(item, f"ev_{item}", None, None) for item in ids], now=NOW)

    def gaps():
        (latest,) = Ledger(store).latest()
        return latest.gaps

    accept_at("north", 2, 3)
    accept_at("south", 0, hours=1)
    assert gaps() == 5
    accept_at("north", 1, hours=24)
    assert gaps() == 1
    accept_at("south", 0, hours=24)
    assert gaps() == 1
    accept_at("south", 0, hours=49)
    assert gaps() == 0
    forget(store, before=NOW + DAY)
    accept_at("south", 4, hours=30)
    assert gaps() == 0


def test_the_gaps_of_a_piece_that_was_sent_again_count_once(store):
    """What went missing at the API and was sent again is no second piece."""
    outbox = Outbox(store)
    for _ in range(2):
        (item,) = outbox.put("aws", "here", [replace(made(1), gaps=2)], None, now=NOW)
        outbox.claim(1, now=NOW)
        outbox.settle([Accept(item, f"ev_{item}", None, None)], now=NOW)
    (latest,) = Ledger(store).latest()
    assert (latest.gaps, latest.evidence_id, len(list(Ledger(store).entries()))) == (2, f"ev_{item}", 2)


def test_the_last_receipts_come_first(store):
    """What was accepted last is the first of the receipts, whenever it was queued."""
    outbox = Outbox(store)
    ids = outbox.put("aws", "here", [made(1), made(2)], None, now=NOW)
    outbox.claim(2, now=NOW)
    for item in reversed(ids):
        outbox.settle([Accept(item, f"ev_{item}", None, None)], now=NOW)
    assert [receipt.id for receipt in Ledger(store).receipts()] == ids


# ── Proof ──


def check(store, *, key=None):
    """The kinds of what is found wrong, each with the first and the last entry that it is about."""
    proof = Proof(Seals(store.directory).read(), key=key)
    entries = (Entry(facts(entry), entry.link) for entry in Ledger(store).entries())
    return [(finding.kind, finding.seq, finding.last) for finding in proof.check(entries)]


def alter(store, *statements):
    """Changes rows behind the agent's back."""
    with closing(sqlite3.connect(store.directory / DATABASE)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def made_anew(store, seq, **changes):
    """Changes an entry and gives it the link that follows, as somebody does who knows how."""
    (entry,) = Ledger(store).entries(after=seq - 1, until=seq)
    told = facts(replace(entry, **changes))
    sets = ", ".join(f"{name} = '{value}'" for name, value in {**changes, "link": link(told)}.items())
    alter(store, f"UPDATE ledger SET {sets} WHERE seq = {seq}")


@pytest.fixture
def six(store):
    """A ledger of six entries, of which five are sealed."""
    accept(store, 1, 2, 3, 4, 5)
    Sealing(store, None).seal(now=NOW)
    accept(store, 6)
    return store


def test_a_ledger_that_nobody_touched(six):
    """Of what was written nothing is found wrong, sealed or not, and as it goes on."""
    assert check(six) == []
    Sealing(six, None).seal(now=NOW + DAY)
    accept(six, 7)
    assert check(six) == []


def test_an_empty_ledger(store):
    """There is nothing to find, and nothing to seal."""
    assert Sealing(store, None).seal(now=NOW) is None
    assert check(store) == []


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["UPDATE ledger SET control_id = 'ctrl_x' WHERE seq = 3"], [("altered", 3, 3)]),
        (["UPDATE ledger SET sha256 = randomblob(32) WHERE seq = 6"], [("altered", 6, 6)]),
        (["UPDATE ledger SET created_at = '2026-01-01T00:00:00.000Z' WHERE seq = 1"], [("altered", 1, 1)]),
        (["UPDATE ledger SET accepted_at = accepted_at + 1 WHERE seq = 2"], [("altered", 2, 2)]),
        (["UPDATE ledger SET id = 99 WHERE seq = 2"], [("altered", 2, 2)]),
        (["DELETE FROM ledger WHERE seq = 3"], [("missing", 3, 3)]),
        (["DELETE FROM ledger WHERE seq IN (2, 3)"], [("missing", 2, 3)]),
        (["DELETE FROM ledger WHERE seq <= 2"], [("missing", 1, 2)]),
        (["DELETE FROM ledger WHERE seq >= 5"], [("missing", 5, 5)]),
        (["DELETE FROM ledger"], [("missing", 1, 5)]),
        (
            ["UPDATE ledger SET seq = 99 WHERE seq = 3", "UPDATE ledger SET seq = 3 WHERE seq = 4",
             "UPDATE ledger SET seq = 4 WHERE seq = 99"],
            [("broken", 2, 3), ("altered", 3, 3), ("broken", 3, 4), ("altered", 4, 4), ("broken", 4, 5),
             ("moved", 3, 3), ("moved", 4, 4)],
        ),
    ],
)  # fmt: skip
def test_what_was_done_to_it_is_found(six, statements, found):
    """Each entry that was altered, removed or moved is named; no other is."""
    alter(six, *statements)
    assert check(six) == found


def test_an_entry_made_anew(six):
    """One whose link was made to fit is betrayed by the next; the last sealed one by its seal."""
    made_anew(six, 3, control_id="ctrl_x")
    assert check(six) == [("broken", 3, 4)]
    made_anew(six, 5, control_id="ctrl_x")
    assert check(six)[1:] == [("sealed otherwise", 5, 5), ("broken", 5, 6)]


def test_a_whole_chain_made_anew(six):
    """Where all that follows was made anew, too, the seal tells it."""
    previous = None
    for seq in range(2, 7):
        made_anew(six, seq, **({"control_id": "ctrl_x"} if previous is None else {"previous": previous}))
        (entry,) = Ledger(six).entries(after=seq - 1, until=seq)
        previous = entry.link
    assert check(six) == [("sealed otherwise", 5, 5)]


def test_what_was_forgotten_is_not_missing(store):
    """Where old entries went in order, a seal says so; where somebody cut off more, they are missing."""
    accept(store, 1, 2)
    accept(store, 3, 4, 5, now=NOW + 2 * DAY)
    assert forget(store, before=NOW + DAY) == 2
    assert check(store) == []
    assert Seals(store.directory).read()[0].forgets
    alter(store, "DELETE FROM ledger WHERE seq = 3")
    assert check(store) == [("missing", 1, 3)]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_change_is_found(tmp_path_factory, data):
    """Whichever column of whichever entry is changed, that entry is found."""
    with Store(tmp_path_factory.mktemp("ledger") / "state") as store:
        accept(store, 1, 2, 3)
        columns = [name for name, _ in _columns(store) if name not in {"seq", "link", "previous"}]
        seq, name = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(columns))
        text = "CAST(zeroblob(32) AS BLOB)" if name == "sha256" else "7654321" if name in _numbers(store) else "'x'"
        alter(store, f"UPDATE ledger SET {name} = {text} WHERE seq = {seq}")
        assert ("altered", seq, seq) in check(store)


def _columns(store):
    told = store.read(lambda connection: connection.execute("SELECT name, type FROM pragma_table_info('ledger')"))
    return [(row["name"], row["type"]) for row in told]


def _numbers(store):
    return {name for name, kind in _columns(store) if kind in {"INTEGER", "REAL"}}


# ── Seals ──


@pytest.fixture
def keys(tmp_path):
    """A signing key as openssl makes it, and its public half."""
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def test_seals_are_signed(store, keys):
    """With a key each seal is signed by it; openssl finds the signature good, and so does the proof."""
    private, public = keys
    accept(store, 1)
    seal = Sealing(store, private).seal(now=NOW)
    assert seal.is_genuine()
    assert seal.public_key == public_key(public)
    assert check(store, key=seal.public_key) == []
    message, signature = private.with_name("message"), private.with_name("signature")
    message.write_bytes(seal.content)
    signature.write_bytes(base64.b64decode(seal.signature))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", message]
    assert subprocess.run([*command, "-sigfile", signature], check=False, capture_output=True).returncode == 0


def test_seals_that_are_false(store, keys, tmp_path):
    """A seal that was changed, that another key signed, or that none did is found where the key is known."""
    private, public = keys
    accept(store, 1)
    seal = Sealing(store, private).seal(now=NOW)
    (store.directory / SEALS).unlink()
    Seals(store.directory).append(replace(seal, sealed_at="2030-01-01T00:00:00.000Z"))
    assert check(store) == [("signature", 1, 1)]
    (store.directory / SEALS).unlink()
    Seals(store.directory).append(Seal(seal.seq, seal.link, seal.sealed_at))
    assert check(store) == []
    assert check(store, key=public_key(public)) == [("signature", 1, 1)]


def test_a_torn_seal_is_passed_over(store):
    """A power cut in the middle of a seal leaves those before it, and the next one."""
    accept(store, 1)
    first = Sealing(store, None).seal(now=NOW)
    with (store.directory / SEALS).open("ab") as file:
        file.write(b'\n{"seq": 2, "li')
    accept(store, 2)
    second = Sealing(store, None).seal(now=NOW)
    assert Seals(store.directory).read() == [first, second]
    assert (store.directory / SEALS).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no key", "is not a private key in PEM without a password; make one: openssl genpkey -algorithm ed25519"),
        ("rsa", "is not an Ed25519 key; make one"),
    ],
)
def test_a_key_that_cannot_be_used(store, tmp_path, content, told):
    """It is told what is wrong with the key; what is to be sealed is sealed without a signature."""
    key = tmp_path / "key.pem"
    key.write_text(content)
    if content == "rsa":
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    with pytest.raises(SecretMissing, match=told):
        signing_key(key)
    accept(store, 1)
    assert Sealing(store, key).seal(now=NOW).signature is None
    assert signing_key(None) is None


# ── Export ──


SINCE, UNTIL = datetime(2026, 4, 15, tzinfo=UTC), datetime(2026, 4, 17, tzinfo=UTC)


@pytest.fixture
def archive(store, tmp_path):
    """An export of two days out of three."""
    accept(store, 1)
    accept(store, 2, 3, now=NOW + DAY)
    Sealing(store, None).seal(now=NOW + DAY)
    accept(store, 4, now=NOW + 2 * DAY)
    ledger, file = Ledger(store), tmp_path / "ledger.zip"
    Export(ledger, ledger.span(SINCE, UNTIL), Seals(store.directory).read(), SINCE, UNTIL).write(file, now=UNTIL)
    return file


def proven(file):
    with Archive(file) as archive:
        proof = Proof(archive.seals(), whole=False)
        found = [(finding.kind, finding.seq, finding.last) for finding in proof.check(archive.entries())]
        return archive.altered(), found


def rewritten(file, name, change):
    """The archive with one file changed."""
    with zipfile.ZipFile(file) as archive:
        contents = {each: archive.read(each) for each in archive.namelist()}
    contents[name] = change(contents[name])
    with zipfile.ZipFile(file, "w") as archive:
        for each, content in contents.items():
            archive.writestr(each, content)
    return file


def test_an_export_proves_itself(archive):
    """It holds the entries of the time that was asked for, and they are found to be what was written."""
    assert proven(archive) == ([], [])
    with zipfile.ZipFile(archive) as opened:
        manifest = json.loads(opened.read("manifest.json"))
        lines = [json.loads(line) for line in opened.read("entries.jsonl").splitlines()]
    assert (manifest["first"], manifest["last"], manifest["entries"]) == (1, 3, 3)
    assert [line["evidence_id"] for line in lines] == ["ev_1", "ev_2", "ev_3"]
    assert archive.stat().st_mode & 0o777 == 0o600


def test_an_export_that_was_changed(archive):
    """Each change of its entries is found, with the digests of the manifest and without."""
    rewritten(archive, "entries.jsonl", lambda content: content.replace(b"ev_2", b"ev_9"))
    assert proven(archive) == (["entries.jsonl"], [("altered", 2, 2)])
    rewritten(archive, "entries.jsonl", lambda content: b"\n".join(content.splitlines()[::2]) + b"\n")
    assert proven(archive)[1] == [("missing", 2, 2)]


def test_an_export_that_is_none(tmp_path, archive):
    """What is no archive, or holds what is no entry, is refused in words."""
    with pytest.raises(NoArchive, match="is no export of a ledger"):
        Archive(tmp_path / "none.zip")
    rewritten(archive, "entries.jsonl", lambda content: content + b'{"seq": "x"}\n')
    with Archive(archive) as opened, pytest.raises(NoArchive, match=r"line 4 of entries\.jsonl is no entry"):
        list(opened.entries())


def test_the_page_explains_and_lists(archive):
    """The page names each entry, loads and runs nothing, and takes no text for markup."""
    with zipfile.ZipFile(archive) as opened:
        page = opened.read("index.html").decode()
    assert all(f"ev_{number}" in page for number in (1, 2, 3))
    assert "ev_4" not in page
    assert not re.search(r"<script|<link|<img|src=|href=|@import|url\(", page)
    assert "What it does not prove" in page


def test_text_is_no_markup(store, tmp_path):
    """A target that looks like markup is text on the page."""
    outbox = Outbox(store)
    (number,) = outbox.put("aws", "<script>alert(1)</script>", [made(1)], None, now=NOW)
    outbox.claim(1, now=NOW)
    outbox.settle([Accept(number, "ev_1", None, None)], now=NOW)
    ledger, file = Ledger(store), tmp_path / "ledger.zip"
    Export(ledger, ledger.span(SINCE, UNTIL), [], SINCE, UNTIL).write(file, now=UNTIL)
    with zipfile.ZipFile(file) as opened:
        page = opened.read("index.html").decode()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


# ── The commands ──


@pytest.fixture
def agent(tmp_path, sandbox):
    made = Agent(tmp_path, sandbox.url, {"CHEQUR_TOKEN": sandbox.write})
    made.configure()
    made.put("ctrl_ac_02/users.csv")
    made.put("ctrl_ac_02/more.csv")
    assert made.run("collect").code == Exit.WELL
    return made


def test_the_ledger_is_verified(agent):
    """All is well, until somebody changes a row: then it is named, and the command ends with 4."""
    done = agent.run("ledger", "verify")
    assert (done.code, done.out.splitlines()[0]) == (Exit.WELL, "2 entries, 1 to 2: all are what was written.")
    with Store(agent.state) as store:
        alter(store, "UPDATE ledger SET target = 'x' WHERE seq = 2")
    done = agent.run("ledger", "verify")
    assert (done.code, "altered: entry 2 (ev_" in done.out, "NOT what was written" in done.out) == (4, True, True)
    findings = agent.run("ledger", "verify", "--json").json["findings"]
    assert [(finding["kind"], finding["seq"]) for finding in findings] == [("altered", 2)]


def test_what_was_sent_can_be_told_from_what_chequr_shows(agent):
    """The digest of a request follows from the four things that the API was told, as the page says."""
    agent.put("ctrl_ac_02/third.csv")
    agent.run("collect", "--no-deliver")
    agent.run("outbox", "export", "out")
    (file,) = (agent.home / "out").iterdir()
    body = json.loads(file.read_bytes())
    told = {name: body[name] for name in ("collected_at", "control_id", "payload", "source")}
    agent.run("deliver")
    with Store(agent.state) as store:
        *_, entry = Ledger(store).entries()
    content = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert entry.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert entry.collected_at == body["collected_at"]


def test_collecting_seals(agent, keys):
    """A command that delivered has sealed what it did; with a key, whoever has its public half can tell."""
    assert [seal.seq for seal in Seals(agent.state).read()] == [2]
    assert agent.run("ledger", "seal").out == "Nothing was accepted since the last seal.\n"
    private, public = keys
    agent.put("ctrl_ac_02/third.csv")
    assert agent.run("collect", LEDGER_SIGNING_KEY=private.read_text()).code == Exit.WELL
    assert Seals(agent.state).read()[-1].public_key == public_key(public)
    done = agent.run("ledger", "verify", f"--public-key={public}")
    assert (done.code, "is signed by nobody, not by sha256:" in done.out) == (4, True)


def test_a_ledger_without_a_seal_says_so(agent):
    """Where all seals are gone the chain may hold, but nothing says that it was not made anew."""
    assert "no seal" not in agent.run("ledger", "verify").out
    (agent.state / "ledger.seals").unlink()
    assert "There is no seal of it" in agent.run("ledger", "verify").out


def test_an_auditor_verifies_an_export(agent, tmp_path):
    """What was exported is verified elsewhere, with nothing but the file; what was changed is found."""
    done = agent.run("ledger", "export", "--output=audit.zip")
    assert done.out.splitlines()[0] == "audit.zip: 2 entries, 1 to 2."
    elsewhere = Agent(tmp_path / "auditor", "http://127.0.0.1:1")
    elsewhere.home.mkdir()
    file = agent.home / "audit.zip"
    assert elsewhere.run("ledger", "verify", f"--archive={file}").code == Exit.WELL
    rewritten(file, "entries.jsonl", lambda content: content.replace(b"users.csv", b"other.csv"))
    done = elsewhere.run("ledger", "verify", f"--archive={file}")
    assert (done.code, "altered: entry" in done.out) == (4, True)
    assert "NOT what was written" in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("export", "--from=2031-01-01"), "nothing was accepted from 2031-01-01 00:00"),
        (("verify", "--archive=none.zip"), "file 'none.zip' does not exist"),
        (("verify", "--archive=config.toml"), "config.toml is no export of a ledger"),
        (("export", "--output=none/x.zip"), "none/x.zip cannot be written to: No such file or directory; name another"),
        (("verify", "--public-key=none.pem"), "public_key cannot be read from none.pem"),
    ],
)
def test_what_cannot_be_done_is_told(agent, arguments, told):
    """A time without entries, an archive or a key that is none: the message says so."""
    done = agent.run("ledger", *arguments)
    assert (done.code, told in done.told) == (Exit.USAGE, True), done.told


def test_seals_of_the_service(agent):
    """The service seals when it ends, too."""
    agent.put("ctrl_ac_02/third.csv")
    with agent.started("run") as process:
        process.saw("agent.started")
        assert agent.run("collect").code == Exit.WELL
        process.stop()
    assert asdict(Seals(agent.state).read()[-1])["seq"] == 3


def test_doctor_looks_at_the_signing_key(agent, keys):
    """A key that is there is named by its fingerprint; one that cannot be used is told."""
    private, _ = keys
    done = agent.run("doctor", LEDGER_SIGNING_KEY=private.read_text())
    assert "its seals are signed with the key sha256:" in done.out
    done = agent.run("doctor", LEDGER_SIGNING_KEY="none")
    assert "its seals cannot be signed: ledger_signing_key is not a private key in PEM" in re.sub(r"\s+", " ", done.out)
