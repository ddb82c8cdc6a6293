"""Where the API token comes from, and how it changes."""

import hashlib

import pytest

from agent.errors import ChequrError, TokenUnusable
from agent.token import Token


@pytest.fixture
def places(tmp_path, monkeypatch):
    """All three places hold a token: a file, a systemd credential, and the environment."""
    (tmp_path / "configured").write_text("from_file\n")
    (tmp_path / "chequr_token").write_text("from_systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("CHEQUR_TOKEN", "from_environment")
    return tmp_path


def test_the_configured_file_wins(places):
    """A configured file is preferred to a systemd credential and to the environment."""
    assert Token(places / "configured").value == "from_file"


def test_a_systemd_credential_comes_second(places):
    """Without a configured file, $CREDENTIALS_DIRECTORY/chequr_token is preferred to CHEQUR_TOKEN."""
    assert Token().value == "from_systemd"


def test_the_environment_comes_last(places):
    """CHEQUR_TOKEN is read where there is no file at all."""
    (places / "chequr_token").unlink()
    assert Token().value == "from_environment"


def test_a_missing_file_does_not_fall_through(places):
    """A configured file that is not there is an error, whatever the environment holds."""
    with pytest.raises(TokenUnusable, match="gone"):
        _ = Token(places / "gone").value


def test_no_token_anywhere(monkeypatch):
    """Without any token, the error names the three places to put one."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("CHEQUR_TOKEN", raising=False)
    with pytest.raises(ChequrError, match=r"configuration.*systemd.*CHEQUR_TOKEN"):
        _ = Token().value


def test_a_token_is_kept_until_renewed(tmp_path):
    """A changed file counts from `renew` on, which tells whether it changed."""
    file = tmp_path / "token"
    file.write_text("old")
    token = Token(file)
    assert token.value == "old"
    assert not token.renew()
    file.write_text("new")
    assert token.value == "old"
    assert token.renew()
    assert token.value == "new"


def test_a_failed_renewal_keeps_the_old_token(tmp_path):
    """A file that is gone while it is being replaced does not take the working token away."""
    file = tmp_path / "token"
    file.write_text("old")
    token = Token(file)
    assert token.value == "old"
    file.unlink()
    with pytest.raises(TokenUnusable):
        token.renew()
    assert token.value == "old"


def test_neither_repr_nor_fingerprint_gives_the_token_away(places):
    """repr shows where the token is, the fingerprint tells tokens apart, and neither shows it."""
    token = Token(places / "configured")
    assert token.fingerprint == hashlib.sha256(b"from_file").hexdigest()[:8]
    assert "from_file" not in repr(token)
    assert str(places / "configured") in repr(token)


@pytest.mark.parametrize("content", ["Bearer abc", "abc\ndef", "abc\x07", "abc\u00e9", "abc\x00", "\ufeffabc"])
def test_what_no_header_can_carry_is_refused(tmp_path, content):
    """White space, control and non-ASCII characters in a token are an error that names the file, not the token."""
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(TokenUnusable, match="more than a token") as refused:
        _ = Token(file).value
    assert str(file) in str(refused.value)
    assert "abc" not in str(refused.value)


def test_a_look_takes_up_another_token(tmp_path):
    """A token that was put into the file is used after the next look; nothing else needs to happen."""
    file = tmp_path / "token"
    file.write_text("old")
    token = Token(file)
    assert token.value == "old"
    token.look()
    assert token.value == "old"
    fresh = tmp_path / "fresh"
    fresh.write_text("new")
    fresh.replace(file)
    assert token.value == "old"
    token.look()
    assert token.value == "new"


def test_a_token_that_changed_before_the_first_look(tmp_path):
    """What changed between the first use and the first look is not missed."""
    file = tmp_path / "token"
    file.write_text("old")
    token = Token(file)
    assert token.value == "old"
    file.write_text("new")
    token.look()
    assert token.value == "new"


@pytest.mark.parametrize("content", [None, b"", b"   \n", b"two words", b"\xff\xfe"])
def test_a_look_at_what_is_no_token(tmp_path, content):
    """What is missing, half written or no token changes nothing; once it is one it is taken up."""
    file = tmp_path / "token"
    file.write_text("old")
    token = Token(file)
    token.look()
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    token.look()
    assert token.value == "old"
    file.write_text("newer")
    token.look()
    assert token.value == "newer"


def test_a_look_at_the_environment(monkeypatch):
    """An environment never changes, and a look without any token does nothing."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("CHEQUR_TOKEN", "one")
    token = Token()
    assert token.value == "one"
    monkeypatch.setenv("CHEQUR_TOKEN", "two")
    token.look()
    assert token.value == "one"
