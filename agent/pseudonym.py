"""Stable stand-ins for people: the same person has the same one everywhere, and only who has the key can find it."""

import hashlib
import hmac
from collections.abc import Callable

from collectors.secret import SecretMissing

Pseudonym = Callable[[str], str]

_SHORTEST_KEY = 32  # characters


def keyed(key: str) -> Pseudonym:
    """What makes a pseudonym of a login, an e-mail address or a name. Raises SecretMissing for a key too short.

    Case is ignored, as sources do: an address that two sources write differently has one pseudonym.
    """
    if len(key) < _SHORTEST_KEY:
        raise SecretMissing(
            f"the pseudonym_key has {len(key)} characters and needs {_SHORTEST_KEY}: make one by `openssl rand -hex 32`"
        )
    secret = key.encode()

    def pseudonym(value: str) -> str:
        return f"person-{hmac.new(secret, value.casefold().encode(), hashlib.sha256).hexdigest()[:32]}"

    return pseudonym
