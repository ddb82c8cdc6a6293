"""How far the ledger had come, told outside of it: one line for each seal, flushed, in `ledger.seals`.

What was sealed cannot be cut off unseen. With a signing key nobody without the key can make a seal; copies of seals
that are kept elsewhere (the log tells each one, an export holds them) bind even those who have it.
"""

import base64
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from agent.canonical import canonical, digest
from agent.private import open_private
from collectors.secret import SecretMissing, read_secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

log = structlog.get_logger()

SEALS = "ledger.seals"
KEY = "ledger_signing_key"
_END = 8192  # bytes


@dataclass(frozen=True)
class Seal:
    """Entry `seq` had this `link` at `sealed_at`, in UTC. `forgets`: the entries up to it were deleted as too old.

    `public_key` is the signer's, raw, and `signature` an Ed25519 signature over all the other members as canonical
    JSON; both in base64, and null where there was no key.
    """

    seq: int
    link: str
    sealed_at: str
    forgets: bool = False
    public_key: str | None = None
    signature: str | None = None

    def signed(self, key: "Ed25519PrivateKey") -> "Seal":
        """The seal with a signature by this key."""
        unsigned = replace(self, public_key=public_half(key))
        return replace(unsigned, signature=encode(key.sign(unsigned.content)))

    @property
    def content(self) -> bytes:
        """What is signed."""
        return canonical({name: value for name, value in asdict(self).items() if name != "signature"})

    def is_genuine(self) -> bool:
        """Whether the signature is the public key's. An unsigned seal is not."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(self.public_key or ""))
            public.verify(base64.b64decode(self.signature or ""), self.content)
        except (InvalidSignature, ValueError):
            return False
        return True


class Seals:
    """The seals of one state directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / SEALS

    def append(self, seal: Seal) -> None:
        """Durable when it returns. Raises OSError."""
        file = open_private(self._path)
        try:
            os.lseek(file, 0, os.SEEK_END)
            os.write(file, b"\n" + json.dumps(asdict(seal)).encode())  # the end before it may be torn
            os.fsync(file)
        finally:
            os.close(file)

    def latest(self) -> list[Seal]:
        """The last few. Raises OSError."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
                return list(parsed(file.read().split(b"\n")))
        except FileNotFoundError:
            return []

    def read(self) -> list[Seal]:
        """All that can be read, in the order of their making. Raises OSError."""
        try:
            return list(parsed(self._path.read_bytes().split(b"\n")))
        except FileNotFoundError:
            return []


def parsed(lines: Iterable[bytes]) -> Iterator[Seal]:
    """The seals that these lines tell; what is torn or strange tells none."""
    for line in lines:
        with suppress(ValueError, TypeError):
            yield Seal(**json.loads(line))


def signing_key(file: Path | None) -> "Ed25519PrivateKey | None":
    """The configured key; None where there is none. Raises SecretMissing where it cannot be used."""
    try:
        text = read_secret(KEY, file)
    except SecretMissing:
        if file is not None:
            raise
        return None
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    how = "make one: openssl genpkey -algorithm ed25519"
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SecretMissing(f"{KEY} is not a private key in PEM without a password; {how}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SecretMissing(f"{KEY} is not an Ed25519 key; {how}")
    return key


def public_half(key: "Ed25519PrivateKey") -> str:
    """A signing key's public key, as seals name it."""
    return encode(key.public_key().public_bytes_raw())


def public_key(file: Path) -> str:
    """The public key in a PEM file, as seals name it. Raises SecretMissing."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(read_secret("public_key", file).encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SecretMissing(f"{file} holds no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SecretMissing(f"{file} holds a public key that is not Ed25519")
    return encode(key.public_bytes_raw())


def fingerprint(key: str) -> str:
    """A public key, given in base64, as people compare it."""
    return digest(base64.b64decode(key))


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def told(seal: Seal) -> dict[str, Any]:
    """A seal for the log: enough to bind what it says, for whoever keeps the log elsewhere."""
    return {"seq": seal.seq, "link": seal.link, "signed": seal.signature is not None}
