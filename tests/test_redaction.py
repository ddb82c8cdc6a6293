import base64
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.canonical import plain
from agent.redaction import REDACTED, is_clean, names_secret, redact

WORD = "Zk3vQ9xY7bT2mN8pL4wR6cJ1hG5dF0sA"

SHAPES = {
    "github classic": f"ghp_{WORD}",
    "github app": f"ghs_{WORD}",
    "github app, stateless": f"ghs_123_eyJhbGciOi.{WORD}",
    "github fine-grained": f"github_pat_{WORD}_{WORD}",
    "gitlab": f"glpat-{WORD}",
    "slack bot": f"xoxb-123456789012-{WORD}",
    "slack app": f"xapp-1-A0-{WORD}",
    "slack webhook": f"hooks.slack.com/services/T000/B000/{WORD}",
    "okta": f"SSWS 00{WORD}",
    "stripe": f"sk_live_{WORD}",
    "webhook": f"whsec_{WORD}",
    "google api": f"AIzaSy{WORD}z",
    "google oauth": f"ya29.{WORD}",
    "google client": f"GOCSPX-{WORD}",
    "npm": f"npm_{WORD}",
    "pypi": f"pypi-{WORD}{WORD}",
    "sendgrid": f"SG.{WORD}.{WORD}",
    "openai": f"sk-proj-{WORD}",
    "openai, old": f"sk-{WORD}{WORD}",
    "vault": f"hvs.{WORD}",
    "digitalocean": f"dop_v1_{'0a1b2c3d' * 8}",
    "docker": f"dckr_pat_{WORD}",
    "atlassian": f"ATATT3xFfGF0{WORD}=1A2B3C4D",
    "azure storage": f"AccountKey={WORD}{WORD}==",
    "bearer": f"Bearer {WORD}",
    "bearer in a query": f"Bearer%20{WORD}",
    "basic": f"Basic {WORD}=",
    "jwt": f"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.{WORD}",
    "aws": f"aws_secret_access_key = {WORD}wJalrXUt",
    "aws, in a shell": f"export AWS_SECRET_ACCESS_KEY={WORD}wJalrXUt",
    "aws, in yaml": f"AWS_SECRET_ACCESS_KEY: {WORD}wJalrXUt",
    "aws json, upper case": f'"AWS_SECRET_ACCESS_KEY": "{WORD}wJalrXUt"',
    "aws json": f'"SecretAccessKey": "{WORD}wJalrXUt"',
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{WORD}\n{WORD}\n-----END RSA PRIVATE KEY-----",
    "private key, cut off": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{WORD}\n",
    "url": f"postgres://acme:{WORD}@db.acme.io/prod",
    "url without user": f"redis://:{WORD}@cache.acme.io",
    "url, colon in password": f"amqp://acme:{WORD}:x@mq.acme.io",
    "url, at in password": f"amqp://acme:x@{WORD}@mq.acme.io",
    "query": f"GET /v1/users?access_token={WORD}&limit=1",
    "presigned": f"https://s3.acme.io/a?X-Amz-Signature={WORD}",
    "connection string": f"Server=db;User=acme;Password={WORD};",
    "shell": f"export CLIENT_SECRET={WORD}",
    "shell, in quotes": f'export CLIENT_SECRET="two words {WORD}" # from the vault',
    "shell, in single quotes": f"PASSWORD='two words {WORD}'",
    "shell, in json in text": json.dumps({"run": f'CLIENT_SECRET="{WORD}" ./deploy'}),
    "json in text, a quote in it": json.dumps({"password": f'ab"{WORD}'}),
    "json in text": json.dumps({"client_secret": WORD}),
    "json in text, compact": json.dumps({"password": WORD}, separators=(",", ":")),
}
secret = pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)


@secret
def test_a_secret_alone(text):
    """Each well-known secret is known by its shape."""
    clean, count = redact(text)
    assert WORD not in clean
    assert count >= 1


@secret
def test_a_secret_in_long_text(text):
    """A secret is found in the middle of text, and the text around it stays."""
    clean, _ = redact(f"{'before ' * 500}{text}\n{'after ' * 500}")
    assert WORD not in clean
    assert clean.startswith("before before")
    assert "PRIVATE" in text or clean.endswith("after after ")


@secret
def test_a_secret_deep_inside(text):
    """A secret is found in lists and objects within each other, and each one counts."""
    clean, count = redact({"a": [{"b": [1, None, [text]]}], "c": {"d": text}, "e": 1})
    assert WORD not in json.dumps(clean)
    assert count >= 2
    assert clean["e"] == 1


@secret
def test_a_secret_as_a_name(text):
    """A field that is itself called by a secret loses its name, and no value."""
    clean, _ = redact({text: 1, text + " ": 2})
    assert WORD not in json.dumps(clean)
    assert sorted(clean.values()) == [1, 2]


@secret
def test_what_is_redacted_stays_so(text):
    """Redacting again finds nothing more."""
    once, _ = redact(text)
    assert redact(once) == (once, 0)


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "db_password", "dbPassword", "DBPassword", "db.password", "passwords", "client_secret",
        "clientSecret", "SECRET", "api_key", "apiKey", "APIKey", "x-api-key", "privateKey", "secret_key",
        "SecretAccessKey", "access_token", "NextToken", "OAuthToken", "passphrase", "pwd",
    ],
)  # fmt: skip
def test_names_that_say_secret(name):
    """A field is a secret's by the last word of its name, in any way of writing."""
    assert names_secret(name)
    assert redact({name: "x"}) == ({name: REDACTED}, 1)
    assert redact({name: ["x", "y"]}) == ({name: [REDACTED, REDACTED]}, 2)
    assert redact({"Key": name, "Value": "x"}) == ({"Key": name, "Value": REDACTED}, 1)


@pytest.mark.parametrize(
    "field",
    [
        {"password_last_used": "2026-01-01"},
        {"password_enabled": True},
        {"password": True},
        {"password": ""},
        {"secret_scanning": "enabled"},
        {"token_count": 3},
        {"persistent_cookie": False},
        {"access_key_1_last_rotated": "2026-01-01"},
        {"access_key_id": "AKIAIOSFODNN7EXAMPLE"},
        {"key_id": "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"},
        {"kms_key": "alias/acme"},
        {"name": "token", "state": "active"},
        {"Key": "team", "Value": "platform"},
        {"text": "the password must have 12 characters; a token expires after 1 hour"},
        {"url": "https://acme.io:8443/a?contact=a@acme.io"},
        {"hint": "desk-0123456789abcdef0123456789abcdef"},
    ],
)
def test_facts_stay(field):
    """What only speaks of secrets is evidence, and stays."""
    assert redact(field) == (field, 0)


NAMES = ("password", "apiKey", "key", "Name", "value", "Value", "url", "data", "tokens", "note")
LURES = (
    "password=hunter22", '{"token": "abcdefgh"}', '{"token":"abcdefgh"}', "https://joe:hunter2@example.com/", "plain",
    f"Bearer {WORD}", f"ghp_{WORD}", f'secret_access_key": "{WORD}abcdefgh', "DB_PASSWORD",
    "-----BEGIN PRIVATE KEY-----",
)  # fmt: skip
LURED = st.recursive(
    st.sampled_from(LURES) | st.text(max_size=20) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
)


@given(st.dictionaries(st.sampled_from(NAMES), LURED, max_size=4))
@settings(max_examples=500)
def test_what_is_called_clean_at_a_glance_is_clean(value):
    """Whatever the whole search would find keeps a record from the quick way."""
    text = plain(value)
    if text is not None and is_clean(text):
        assert redact(value) == (value, 0)


@pytest.mark.parametrize("name", SHAPES)
def test_no_secret_looks_clean_at_a_glance(name):
    text = SHAPES[name]
    for value in ({"note": text}, {"note": [f"see {text} here"]}, {text: 1}, {"note": json.dumps({"note": text})}):
        assert plain(value) is None or not is_clean(plain(value))


@given(st.binary(max_size=600), st.sampled_from(["", "Bearer", "token", "secretaccesskey", "eyJ", "AIza", "ATATT3"]))
@settings(max_examples=400)
def test_the_content_of_a_file_stays(content, lure):
    """Base64 is never altered, whatever words its letters make."""
    text = base64.b64encode(content).decode()
    lured = base64.b64encode(base64.b64decode(lure + "A" * (-len(lure) % 4)) + content).decode()
    assert redact({"content": text}) == ({"content": text}, 0)
    assert redact(lured) == (lured, 0)


@pytest.mark.parametrize(
    "text",
    [
        "eyJ", "a_", "password=", "secret_", "://", "://a:", "-----BEGIN ", "bearer ", "SG.", "ghp_", '":"', "token=[",
    ],
)  # fmt: skip
def test_time_grows_with_the_text_and_not_its_square(text):
    """No text that is made for it keeps the agent busy: a square would take minutes of CPU, and this takes a moment."""
    started = time.thread_time()
    redact(text * (250_000 // len(text)))
    assert time.thread_time() - started < 10
