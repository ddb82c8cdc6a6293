"""API keys: a key has an id, a scope and a rate; its token is what is sent, and rotation replaces it.

`write` includes `read`, `admin` includes both. After a rotation the previous token works for 24 hours and counts
against the same rate limit. A revoked key stops at once, with all its tokens. Only digests are stored.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

from agent.sandbox import audit
from agent.sandbox.refusal import Refusal
from agent.sandbox.workspace import Workspace

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
GRACE = 24 * 3600

_REMEDY = "Send the header `Authorization: Bearer <token>`."


@dataclass(frozen=True)
class Key:
    """Who is asking. `rate` in requests a second is None where the workspace's holds."""

    id: str
    scope: Scope
    rate: float | None

    def require(self, scope: Scope) -> None:
        """Raises Refusal (403) where the key's scope does not include `scope`."""
        if SCOPES.index(self.scope) < SCOPES.index(scope):
            hint = f"Use a token with the scope {scope}; this one has {self.scope}."
            raise Refusal(403, "forbidden", f"This action needs the scope {scope}.", hint=hint)


def authenticate(workspace: Workspace, authorization: str | None) -> Key:
    """The key of an Authorization header's value. Raises Refusal (401)."""
    challenge = {"www-authenticate": "Bearer"}
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, "unauthorized", "A Bearer token is required.", hint=_REMEDY, headers=challenge)
    key = _key(workspace, token.strip())
    if key is None:
        message = "The Bearer token is not valid, has expired or was revoked."
        raise Refusal(401, "unauthorized", message, hint="Create or rotate an API key.", headers=challenge)
    return key


def seed(workspace: Workspace, scope: Scope, token: str) -> None:
    """Makes `token` known; what a state file knows of it already, such as its revocation, stays."""
    with workspace.transaction():
        _insert(workspace, scope, token, None)


def issue(workspace: Workspace, scope: Scope, token: str | None = None, rate: float | None = None) -> tuple[str, str]:
    """A new key's id and token. Raises Refusal (409) for a token that is known."""
    token = token or _fresh()
    with workspace.transaction():
        _check_new(workspace, token)
        key_id = _insert(workspace, scope, token, rate)
        audit.append(workspace, audit.OPERATOR, "token.issued", key_id)
    return key_id, token


def rotate(workspace: Workspace, key_id: str, token: str | None = None) -> str:
    """The key's new token. Raises Refusal (404, 409)."""
    token = token or _fresh()
    with workspace.transaction():
        _check_known(workspace, key_id)
        _check_new(workspace, token)
        end = workspace.clock.now() + GRACE
        workspace.write("UPDATE token SET expires_at = ? WHERE key_id = ? AND expires_at IS NULL", end, key_id)
        workspace.write("INSERT INTO token VALUES (?, ?, NULL)", _digest(token), key_id)
        audit.append(workspace, audit.OPERATOR, "token.rotated", key_id)
    return token


def revoke(workspace: Workspace, key_id: str) -> None:
    """Raises Refusal (404)."""
    with workspace.transaction():
        _check_known(workspace, key_id)
        workspace.write("UPDATE key SET revoked_at = ? WHERE id = ?", workspace.clock.second(), key_id)
        audit.append(workspace, audit.OPERATOR, "token.revoked", key_id)


def key_id(token: str) -> str:
    """The id of the key that was created with `token`; rotation does not change it."""
    return f"key_live_{_digest(token).hex()[:8]}"


def _key(workspace: Workspace, token: str) -> Key | None:
    row = workspace.row(
        "SELECT id, scope, rate FROM token JOIN key ON key.id = token.key_id "
        "WHERE digest = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
        _digest(token),
        workspace.clock.now(),
    )
    return None if row is None else Key(row["id"], row["scope"], row["rate"])


def _insert(workspace: Workspace, scope: Scope, token: str, rate: float | None) -> str:
    named = key_id(token)
    workspace.write("INSERT OR IGNORE INTO key VALUES (?, ?, ?, NULL)", named, scope, rate)
    workspace.write("INSERT OR IGNORE INTO token VALUES (?, ?, NULL)", _digest(token), named)
    return named


def _check_known(workspace: Workspace, key_id: str) -> None:
    if workspace.row("SELECT 1 FROM key WHERE id = ?", key_id) is None:
        raise Refusal(404, "not_found", f"There is no API key {key_id}.", hint="GET /_sandbox/state lists them.")


def _check_new(workspace: Workspace, token: str) -> None:
    if workspace.row("SELECT 1 FROM token WHERE digest = ?", _digest(token)) is not None:
        raise Refusal(409, "duplicate_resource", "This token was given to a key before.", hint="Choose another.")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _fresh() -> str:
    return f"sandbox_{secrets.token_urlsafe(24)}"
