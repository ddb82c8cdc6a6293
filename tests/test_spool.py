import hashlib
import json
import re

import pytest
from agent_fixtures import Fact, gap, limited
from hypothesis import given
from hypothesis import strategies as st

from agent.canonical import canonical, widest
from agent.pseudonym import keyed
from agent.redaction import REDACTED
from agent.spool import Spool, SpoolFull
from collectors.contract import Personal, Record
from collectors.secret import SecretMissing


@given(st.lists(st.text(max_size=20) | st.none(), max_size=20))
def test_lines_come_back_in_order(names):
    """What was put in comes out in its order, any number of times, records and gaps told apart."""
    spool = Spool()
    for name in names:
        spool.append(gap() if name is None else Fact(name=name, value=1))
    for _ in range(2):
        lines = list(spool)
        assert [line.is_gap for line in lines] == [name is None for name in names]
        assert [line.content for line in lines if not line.is_gap] == [
            canonical({"name": name, "value": 1}) for name in names if name is not None
        ]
    assert (spool.records, spool.gaps) == (len(names) - names.count(None), names.count(None))
    spool.close()


def test_the_digest_is_over_records_alone():
    """Anybody can compute the digest again: each record in canonical JSON and a line feed."""
    spool = Spool()
    for observation in (Fact(name="a", value=1), gap(), Fact(name="é", value=None)):
        spool.append(observation)
    expected = hashlib.sha256('{"name":"a","value":1}\n{"name":"é","value":null}\n'.encode()).hexdigest()
    assert spool.records_digest == f"sha256:{expected}"
    spool.close()


def test_secrets_do_not_reach_the_disk(tmp_path):
    """A secret is gone, and counted, before a line is written."""
    spool = Spool(tmp_path)
    spool.append(Fact(name="a", value={"password": "hunter2", "note": "ghp_" + "a" * 36}))
    (line,) = spool
    assert line.content == canonical({"name": "a", "value": {"password": REDACTED, "note": REDACTED}})
    assert line.width == widest({"name": "a", "value": {"password": REDACTED, "note": REDACTED}})
    assert spool.redactions == 2
    spool.close()


class Visitor(Record):
    """Somebody, and others."""

    name: Personal
    host: Personal | None
    company: str
    met: tuple[Personal, ...]


def test_people_get_pseudonyms():
    """Fields that name people hold stable pseudonyms, whatever the case; others, and nobody, stay as they are."""
    spool = Spool(pseudonym=keyed("k" * 32))
    spool.append(Visitor(name="Ada@acme.example", host=None, company="acme", met=("bob", "ada@acme.example")))
    (line,) = spool
    told = json.loads(line.content)
    assert (told["host"], told["company"]) == (None, "acme")
    assert told["met"][1] == told["name"] != told["met"][0]
    assert re.fullmatch("person-[0-9a-f]{32}", told["name"])
    assert keyed("l" * 32)("bob") != told["met"][0] == keyed("k" * 32)("Bob")
    spool.close()


def test_a_short_key_is_refused():
    """A key that could be guessed makes no pseudonyms: the message says how to make a better one."""
    with pytest.raises(SecretMissing, match="openssl rand"):
        keyed("secret")


def test_a_large_spool_leaves_no_file(tmp_path):
    """Beyond a megabyte lines are on disk, under no name, in a folder whatever it is called."""
    folder = tmp_path / "a folder with spaces é"
    folder.mkdir()
    spool = Spool(folder)
    for number in range(300):
        spool.append(Fact(name=str(number), value="x" * 10_000))
    assert [line.content[9:12] for line in spool][:2] == [b'0",', b'1",']
    assert list(folder.iterdir()) == []
    spool.close()


def test_a_disk_that_fills(tmp_path):
    """What does not fit is told by the append that finds out, or by the flush; the spool can be closed all the same."""
    with limited(1_200_000):
        spool = Spool(tmp_path)
        with pytest.raises(SpoolFull, match="does not fit on the disk: File too large"):  # noqa: PT012
            for _ in range(2_000):
                spool.append(Fact(name="a", value="x" * 1_000))
        spool.close()
        spool = Spool(tmp_path)
        spool.append(Fact(name="a", value="x" * 1_199_900))
        spool.append(Fact(name="b", value="x" * 200))  # waits in a buffer
        with pytest.raises(SpoolFull, match="does not fit on the disk: File too large"):
            spool.flush()
        spool.close()
