"""Ids in the API's style: a prefix, then 20 characters of Crockford's base 32 that begin with the time."""

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME, _CHANCE = 10, 10


def identifier(prefix: str) -> str:
    """`identifier("ev")` is like ev_01HX9K2ZP7N4YQ8R5T3V; no two are alike."""
    return f"{prefix}_{_base32(time.time_ns() // 1_000_000, _TIME)}{_base32(secrets.randbits(5 * _CHANCE), _CHANCE)}"


def _base32(number: int, width: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (width - 1), -1, -5))
