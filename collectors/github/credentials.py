"""As whom GitHub is asked: the owner of a token, or an installation of a GitHub App."""

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from collectors.errors import Unauthenticated
from collectors.github.connection import connect
from collectors.github.patience import NO_ANSWER, Reply, wait_after
from collectors.secret import SecretMissing, read_secret

if TYPE_CHECKING:
    from github.Auth import AppAuth, AppInstallationAuth
    from github.Requester import Requester


class NoToken(Exception):
    """No token for now: the reply says why, and it is one that waiting may change."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Credentials(Protocol):
    """Where the tokens of one collector come from. Safe over threads."""

    def token(self) -> str:
        """A token that is good now. Raises NoToken, Unauthenticated, OSError."""


class PersonalToken:
    """A classic or fine-grained token, read once a run."""

    def __init__(self, file: Path | None) -> None:
        self._token = _secret("github_token", file)

    def token(self) -> str:
        return self._token


class Installation:
    """An installation of a GitHub App. Its tokens last an hour; PyGithub asks for them with a JWT and renews them."""

    OPERATION = "POST /app/installations/{installation_id}/access_tokens"

    def __init__(self, base_url: str, app_id: int | str, installation_id: int, key_file: Path | None) -> None:
        self._base_url = base_url
        self._app_id = app_id
        self.installation_id = installation_id
        self._key = _private_key(key_file)
        self._lock = threading.Lock()
        self._auth: AppInstallationAuth | None = None

    def token(self) -> str:
        from github import GithubException

        with self._lock:  # one token for all threads, not one for each
            try:
                token: object = self._bound().token
            except GithubException as error:
                raise self._refused(Reply(error.status, error.headers or {}, json.dumps(error.data))) from error
            if not isinstance(token, str):
                self._auth = None
                raise NoToken(Reply(NO_ANSWER, {}, "the answer holds no installation token"))
            return token

    def application(self) -> "Requester":
        """A requester that speaks for the App itself, not for its installation."""
        return connect(self._base_url, self._app())

    def _bound(self) -> "AppInstallationAuth":
        if self._auth is None:
            self._auth = self._app().get_installation_auth(self.installation_id)
            connect(self._base_url, self._auth)  # tells it the host that its tokens come from
        return self._auth

    def _app(self) -> "AppAuth":
        from github.Auth import AppAuth

        return AppAuth(self._app_id, self._key)

    def _refused(self, reply: Reply) -> Exception:
        if wait_after(reply, 1, time.time()):
            return NoToken(reply)
        reason = f"GitHub gives App {self._app_id} no token for installation {self.installation_id}"
        return Unauthenticated(f"{reason}: {reply.message or reply.status}", operation=self.OPERATION)


def _private_key(file: Path | None) -> str:
    key = _secret("github_private_key", file)
    if not (key.startswith("-----BEGIN") and "PRIVATE KEY-----" in key):
        raise Unauthenticated(
            "github_private_key is not a private key in PEM format: download one in the App's settings"
        )
    return key


def _secret(name: str, file: Path | None) -> str:
    try:
        return read_secret(name, file)
    except SecretMissing as error:
        raise Unauthenticated(str(error)) from error
