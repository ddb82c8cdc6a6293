"""An Idempotency-Key makes several requests one.

The key is the header's value as it stands, up to 255 printable characters, and belongs to the workspace,
whichever token sends it. It stands for a method, a path and a body, to the byte.

- The first 2xx answer is kept, in the transaction of what it tells of, and given again with
  `Idempotent-Replayed: true`, until the key expires. What is refused is not kept: it may be right another time.
- Another body under the key is 409 idempotency_key_reused.
- The same body while the first request still runs is 409 idempotency_key_in_progress.

A POST without a key is taken each time it is sent.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from agent.sandbox.call import Answer, Call
from agent.sandbox.refusal import Refusal
from agent.sandbox.workspace import Workspace

_LONGEST = 255


class Claim:
    """The right of one request to act under its key. `answer` is what was answered before, if anything was."""

    def __init__(self, workspace: Workspace, call: Call, digest: bytes, answer: Answer | None) -> None:
        self._workspace = workspace
        self._key = call.idempotency_key
        self._digest = digest
        self.answer = answer

    def keep(self, answer: Answer) -> None:
        """Called inside the transaction of what the answer tells of."""
        if self._key is not None:
            values = (self._key, self._digest, answer.status, answer.body, self._workspace.clock.now())
            self._workspace.write("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)", *values)


class Idempotency:
    """The keys in use. `ttl` is in seconds."""

    def __init__(self, workspace: Workspace, ttl: float) -> None:
        self._workspace = workspace
        self._ttl = ttl
        self._running: dict[str, bytes] = {}

    @contextmanager
    def claim(self, call: Call) -> Iterator[Claim]:
        """Holds the call's key meanwhile. Raises Refusal (400, 409)."""
        digest = hashlib.sha256(f"{call.method} {call.path}\n".encode() + call.body).digest()
        if call.idempotency_key is None:
            yield Claim(self._workspace, call, digest, None)
            return
        answer = self._find(call.idempotency_key, digest)
        self._running[call.idempotency_key] = digest
        try:
            yield Claim(self._workspace, call, digest, answer)
        finally:
            del self._running[call.idempotency_key]

    def _find(self, key: str, digest: bytes) -> Answer | None:
        _check(key)
        if key in self._running:
            raise in_progress() if self._running[key] == digest else _reused()
        oldest = self._workspace.clock.now() - self._ttl
        row = self._workspace.row("SELECT * FROM answer WHERE idempotency_key = ? AND kept_at > ?", key, oldest)
        if row is None:
            return None
        if row["digest"] != digest:
            raise _reused()
        return Answer(row["status"], row["body"], {"idempotent-replayed": "true"})


def in_progress() -> Refusal:
    message = "A request with this Idempotency-Key is still running."
    return Refusal(409, "idempotency_key_in_progress", message, hint="Send it again, unchanged, a little later.")


def _reused() -> Refusal:
    message = "This Idempotency-Key was used for another request."
    return Refusal(409, "idempotency_key_reused", message, hint="Use a new key for a new request.")


def _check(key: str) -> None:
    if not (0 < len(key) <= _LONGEST and key.isascii() and key.isprintable()):
        hint = f"Send 1 to {_LONGEST} printable ASCII characters, or no Idempotency-Key."
        raise Refusal(
            400, "invalid_idempotency_key", "The Idempotency-Key is empty, too long or unprintable.", hint=hint
        )
