"""Evidence to measure with: IAM users as AWS describes them, as many as a size takes, no two pieces alike.

The same number and size are the same bytes in every run. zstd leaves a fifth to a quarter of them, as of AWS's own
answers; of the smallest, which are hardly more than an envelope, most.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from agent.canonical import canonical
from agent.evidence import Evidence, stamp

CONTROL = "ctrl_ac_05"
_TYPE = "aws_iam_user_mfa"
_BEGINNING = datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)
_USERS = 3100  # enough for the largest payload without a repetition


def pieces(first: int, number: int, size: int, *, source: str = "aws") -> Iterator[Evidence]:
    """`number` pieces of evidence from the number `first` on, each with a body of about `size` bytes."""
    return (piece(first + offset, size, source) for offset in range(number))


def piece(number: int, size: int, source: str = "aws") -> Evidence:
    at = _BEGINNING + timedelta(milliseconds=number)
    snapshot = f"snap_{number:024}"
    head = (
        f'{{"collected_at":"{stamp(at)}","control_id":"{CONTROL}","payload":{{"collection":{{"complete":true,"part":1,'
        f'"parts":1,"snapshot_id":"{snapshot}"}},"evidence_type":"{_TYPE}","gaps":[],"records":['
    )
    tail = f']}},"source":"{source}"}}'
    body = head.encode() + _records(number, size - len(head) - len(tail)) + tail.encode()
    return Evidence(
        control_id=CONTROL,
        source=source,
        evidence_type=_TYPE,
        snapshot_id=snapshot,
        collected_at=at,
        part=1,
        parts=1,
        records=1,
        gaps=0,
        body=body,
    )


def _records(number: int, size: int) -> bytes:
    users, length = _users()
    first = number * 7 % _USERS
    return b",".join(users[first : first + max(size, 0) // length])


@cache
def _users() -> tuple[list[bytes], int]:
    """Users twice over, so that one may begin anywhere, and the length of one in the mean."""
    lots = random.Random(4)
    users = [canonical(_user(lots)) for _ in range(_USERS)]
    return users * 2, sum(map(len, users)) // _USERS + 1


def _user(lots: random.Random) -> dict[str, object]:
    name = f"{lots.choice(('alice', 'bob', 'chen', 'dana', 'emre'))}.{lots.randbytes(4).hex()}"
    return {
        "access_keys": [f"AKIA{_letters(lots, 16)}" for _ in range(lots.randrange(3))],
        "account": "123456789012",
        "arn": f"arn:aws:iam::123456789012:user/{name}",
        "console_access": lots.random() < 0.8,
        "created_at": stamp(_BEGINNING - timedelta(seconds=lots.randrange(10**8))),
        "mfa_active": lots.random() < 0.9,
        "mfa_type": lots.choice(([], ["virtual"], ["security_key", "virtual"])),
        "password_last_used": stamp(_BEGINNING - timedelta(seconds=lots.randrange(10**6))),
        "user": name,
        "user_id": f"AIDA{_letters(lots, 17)}",
    }


def _letters(lots: random.Random, number: int) -> str:
    return "".join(lots.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=number))
