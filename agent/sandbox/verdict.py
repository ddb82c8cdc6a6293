"""How evidence is judged, and how a control follows. Simple on purpose: the same evidence, the same signal.

The first that applies:
1. the signal that the console set for the control;
2. review, where the payload names gaps or its `collection` says that it is not complete;
3. fail, where the evaluator is aws_s3_bucket_encryption and a record's `encryption` is null;
4. pass.

    signal   not_tested   passing    failing    drifted
    pass     passing      passing    passing    passing
    fail     failing      drifted    failing    drifted
    review   as it was: a person has yet to look
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

Signal = Literal["pass", "fail", "review"]
Status = Literal["passing", "failing", "drifted", "not_tested"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)
STATUSES: tuple[Status, ...] = get_args(Status)


def signal(payload: Mapping[str, Any], evaluator: str) -> Signal:
    if payload.get("gaps") or _collection(payload).get("complete") is False:
        return "review"
    if evaluator == "aws_s3_bucket_encryption" and any(_unencrypted(record) for record in _records(payload)):
        return "fail"
    return "pass"


def following(status: Status, signal: Signal) -> Status:
    """The control's status after `signal`."""
    if signal == "pass":
        return "passing"
    if signal == "fail":
        return "drifted" if status in ("passing", "drifted") else "failing"
    return status


def _records(payload: Mapping[str, Any]) -> list[Any]:
    records = payload.get("records")
    return records if isinstance(records, list) else [payload]


def _collection(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    collection = payload.get("collection")
    return collection if isinstance(collection, dict) else {}


def _unencrypted(record: object) -> bool:
    return isinstance(record, dict) and "encryption" in record and record["encryption"] is None
