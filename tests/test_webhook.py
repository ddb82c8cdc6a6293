"""The verifier of webhooks: what is Chequr's and fresh passes, and all else is refused for what it is."""

import hashlib
import hmac
import json
import string
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import webhook
from agent.sandbox import webhooks
from agent.webhook import (
    Event,
    EventMalformed,
    SignatureMalformed,
    SignatureMismatch,
    TimestampFuture,
    TimestampPast,
    WebhookInvalid,
    verify,
)

SECRET = "whsec_9f2a7c6b1e4d8f0a3b5c7e9d1f2a4b6c"
OTHER = "whsec_00000000000000000000000000000000"
NOW = 1_776_244_811
DATA = {"control_id": "ctrl_ac_02", "previous_status": "passing", "current_status": "drifted"}
DRIFTED = {
    "id": "evt_01HX9M8S3V1WJ5L7M2N",
    "type": "control.drifted",
    "created_at": "2026-04-15T09:20:11Z",
    "data": DATA,
}
BODY = json.dumps(DRIFTED).encode()


def hexed(body=BODY, secret=SECRET, at=NOW):
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def signed(body=BODY, secret=SECRET, at=NOW):
    return f"t={at},v1={hexed(body, secret, at)}"


def test_an_event_is_verified_and_read():
    """A delivery that Chequr signed now is the event that it says."""
    created = datetime(2026, 4, 15, 9, 20, 11, tzinfo=UTC)
    event = verify(BODY, signed(), SECRET, now=NOW)
    assert event == Event(DRIFTED["id"], "control.drifted", created, DATA)


GOOD = hexed()


@pytest.mark.parametrize(
    "header",
    [
        f"v1={GOOD},t={NOW}",
        f"t={NOW}, v1={GOOD}",
        f"t={NOW},v1={GOOD.upper()}",
        f"t={NOW},v0={'0' * 64},v1={GOOD},v2=anything",
        f"t={NOW},v1={'0' * 64},v1={GOOD}",
        f"t={NOW},v1=short,v1={GOOD}",
        f"t={NOW}.25,v1={hexed(at=f'{NOW}.25')}",
    ],
)
def test_what_is_written_otherwise_is_still_signed(header):
    """Order, white space, the case of digits, other schemes and further signatures do not matter."""
    assert verify(BODY, header, SECRET, now=NOW).data == DATA


@pytest.mark.parametrize(
    ("header", "error", "words"),
    [
        (None, SignatureMalformed, "there is no X-Chequr-Signature"),
        ("", SignatureMalformed, "there is no X-Chequr-Signature"),
        ("nonsense", SignatureMalformed, "must have t once, not 0 times"),
        (f"v1={GOOD}", SignatureMalformed, "must have t once, not 0 times"),
        (f"t={NOW},t={NOW},v1={GOOD}", SignatureMalformed, "must have t once, not 2 times"),
        (f"t={NOW},t=1,v1={GOOD}", SignatureMalformed, "must have t once, not 2 times"),
        (f"t=,v1={GOOD}", SignatureMalformed, "not in seconds"),
        (f"t=-5,v1={GOOD}", SignatureMalformed, "not in seconds"),
        (f"t=1e9,v1={GOOD}", SignatureMalformed, "not in seconds"),
        (f"t=nan,v1={GOOD}", SignatureMalformed, "not in seconds"),
        (f"t=١٢٣,v1={GOOD}", SignatureMalformed, "not in seconds"),
        (f"t=2026-04-15T09:20:11Z,v1={GOOD}", SignatureMalformed, "not in seconds"),
        (f"t={NOW}", SignatureMalformed, "has no v1"),
        (f"t={NOW},v0={GOOD}", SignatureMalformed, "has no v1"),
        (f"t={NOW},v1=", SignatureMalformed, "not 64 hexadecimal digits"),
        (f"t={NOW},v1={GOOD[:-1]}", SignatureMalformed, "not 64 hexadecimal digits"),
        (f"t={NOW},v1={GOOD}0", SignatureMalformed, "not 64 hexadecimal digits"),
        (f"t={NOW},v1={GOOD[:-1]}g", SignatureMalformed, "not 64 hexadecimal digits"),
        (f"t={NOW},v1={'é' * 64}", SignatureMalformed, "not 64 hexadecimal digits"),
        (f"t={NOW},v1={'0' * 64}", SignatureMismatch, "no secret makes this signature"),
        (f"t={NOW + 1},v1={GOOD}", SignatureMismatch, "no secret makes this signature"),
        (f"t=0{NOW},v1={GOOD}", SignatureMismatch, "no secret makes this signature"),
        (signed(secret=OTHER), SignatureMismatch, "no secret makes this signature"),
        (signed(BODY + b" "), SignatureMismatch, "no secret makes this signature"),
        (signed(at=NOW - 301), TimestampPast, "signed 301 seconds ago; 300 are the most"),
        (signed(at=0), TimestampPast, "seconds ago"),
        (signed(at=NOW + 301), TimestampFuture, "301 seconds after it arrived: one of both clocks is wrong"),
    ],
)
def test_each_bad_signature_is_told_for_what_it_is(header, error, words):
    """Each way of not being Chequr's, or not of now, has its error and its words, which repeat nothing of it."""
    with pytest.raises(error) as caught:
        verify(BODY, header, SECRET, now=NOW)
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_five_minutes_are_allowed_either_way(seconds):
    """Exactly five minutes old, or ahead, is still good."""
    assert verify(BODY, signed(), SECRET, now=NOW + seconds).id == DRIFTED["id"]


def test_a_secret_is_changed_without_losing_an_event():
    """While two secrets are good, what either has signed passes; a third one does not."""
    for secret in (SECRET, OTHER):
        assert verify(BODY, signed(secret=secret), [OTHER, SECRET], now=NOW).id == DRIFTED["id"]
    with pytest.raises(SignatureMismatch):
        verify(BODY, signed(secret="another" * 5), [OTHER, SECRET], now=NOW)


@pytest.mark.parametrize("secrets", ["", [], [""], [SECRET, ""]])
def test_no_secret_verifies_nothing(secrets):
    """An empty secret, which anybody can sign with, is refused before anything is compared."""
    with pytest.raises(ValueError, match="takes a secret"):
        verify(BODY, signed(secret=""), secrets, now=NOW)


def changed(**members):
    return json.dumps({name: value for name, value in (DRIFTED | members).items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (changed(id=...), "id is not a text"),
        (changed(id=7), "id is not a text"),
        (changed(id=""), "id is not a text"),
        (changed(id="\ud800"), "id is not a text"),
        (changed(id="a\nb"), "id is not a text"),
        (changed(type=...), "type is not a text"),
        (changed(type="x" * 201), "type is not a text"),
        (changed(created_at=...), "created_at is not"),
        (changed(created_at=NOW), "created_at is not"),
        (changed(data=[]), "data is not an object"),
    ],
)
def test_what_is_signed_and_no_event(body, words):
    """A good signature over something else is told apart."""
    with pytest.raises(EventMalformed, match=words):
        verify(body, signed(body), SECRET, now=NOW)


def test_what_is_not_known_yet_passes_through():
    """Types and members that the documentation does not name are kept as they are."""
    body = changed(type="control.created", data=..., api_version="v1.5", created_at="2026-04-15T09:20:11")
    event = verify(body, signed(body), SECRET, now=NOW)
    assert (event.type, event.data, event.more) == ("control.created", {}, {"api_version": "v1.5"})
    assert event.created_at.tzinfo is UTC


@given(st.binary(max_size=200), st.text(string.printable, min_size=1), st.integers(0, 10**11 - 1))
def test_the_sandbox_signs_what_is_verified(body, secret, at):
    """Whatever the body, the secret and the instant: what one signs the other takes, and is no event if it is none."""
    with suppress(EventMalformed):
        verify(body, webhooks.signature(secret, at, body), secret, now=at)
    with pytest.raises(SignatureMismatch):
        verify(body + b"\0", webhooks.signature(secret, at, body), secret, now=at)


@given(
    st.text(st.sampled_from("t=,v1 0aF.-") | st.characters(), max_size=120) | st.just(signed()).map(str.swapcase),
    st.binary(max_size=20),
)
def test_no_header_breaks_it(header, body):
    """Whatever stands in the header, the answer is one of the errors that are foreseen."""
    with pytest.raises(WebhookInvalid):
        verify(body, header, SECRET, now=NOW)


def test_it_needs_the_standard_library_alone():
    """The file can be taken by itself into any program."""
    code = (
        "import runpy, sys; before = set(sys.modules); runpy.run_path(sys.argv[1]);"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(*sorted(new - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, webhook.__file__], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
