"""What the tests of the agent's core share: records, snapshots, evidence, and a deliverer against the sandbox."""

import asyncio
import base64
import gzip
import hashlib
import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.client import AsyncClient
from agent.deliver import Deliverer, pacing_observer
from agent.evidence import Evidence, Snapshot
from agent.ledger import Ledger
from agent.outbox import Outbox
from agent.pacing import Pace
from agent.spool import Spool
from agent.store import Store
from agent.token import Token
from collectors.contract import Journal, Record
from collectors.errors import Gap

AT = datetime(2026, 4, 15, 9, 14, 22, 120_000, UTC)
NOW = 1_776_244_462.0
CONTROL = "ctrl_ac_02"


class Fact(Record):
    """Any one value."""

    name: str
    value: Any


def gap(resource: str = "bucket/a", message: str = "not authorized") -> Gap:
    return Gap(
        kind="denied",
        resource=resource,
        operation="s3:GetBucketEncryption",
        permission="s3:GetEncryptionConfiguration",
        message=message,
        remedy="Grant s3:GetEncryptionConfiguration.",
    )


@contextmanager
def limited(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def snapshot(*observations: Record | Gap, **changes: Any) -> Iterator[Snapshot]:
    spool = Spool()
    for observation in observations:
        spool.append(observation)
    facts: dict[str, Any] = {
        "collector": "aws",
        "evidence_type": "aws_s3_bucket_encryption",
        "schema_version": 1,
        "source": "aws",
        "target": {"account": "123456789012", "region": "eu-central-1"},
        "identity": "arn:aws:iam::123456789012:role/chequr",
        "period": None,
        "started": AT,
        "finished": AT,
        "journal": Journal(),
        "config_digest": "sha256:0",
    }
    try:
        yield Snapshot(**facts | changes, observations=spool)
    finally:
        spool.close()


def made(number: int = 1, *, control_id: str = CONTROL, part: int = 1, parts: int = 1, **payload: Any) -> Evidence:
    """One piece of evidence, different for each number."""
    at = f"2026-04-15T09:14:22.{number % 1000:03}Z"
    body = {"collected_at": at, "control_id": control_id, "payload": {"n": number} | payload, "source": "aws"}
    return Evidence(
        control_id=control_id,
        source="aws",
        evidence_type="aws_s3_bucket_encryption",
        snapshot_id=f"snap_{number}",
        collected_at=datetime.fromisoformat(at),
        part=part,
        parts=parts,
        records=1,
        gaps=0,
        body=json.dumps(body).encode(),
    )


def whole(payloads: list[dict[str, Any]], name: str = "records") -> list[Any]:
    """What the receiver of all parts has: fragments are put together by what they say of themselves."""
    lines = [line for payload in payloads for line in payload[name]]
    records, data = [], ""
    for line in lines:
        fragment = line.get("fragment") if set(line) == {"fragment"} else None
        if fragment is None:
            records.append(line)
            continue
        data += fragment["data"]
        if fragment["index"] == fragment["count"]:
            content = gzip.decompress(base64.b64decode(data))
            assert fragment["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
            records.append(json.loads(content, parse_int=float))
            data = ""
    assert not data
    return records


class Delivery:
    """A state directory, a token file, and a deliverer of it to `url`."""

    def __init__(self, store: Store, url: str, token: str, directory: Path, **settings: Any) -> None:
        self.outbox, self.ledger = Outbox(store), Ledger(store)
        self.token_file = directory / "token"
        self.token_file.write_text(token)
        self.token = Token(self.token_file)
        self.settled: list[Any] = []
        self._url = url
        self._settings = {"concurrency": 4, "timeout": 5.0, "rate": None, "cold": False, "limits": None} | settings

    def run(self, deliver: Any) -> Any:
        """Runs `deliver(deliverer)` on an event loop of its own."""

        async def main() -> Any:
            pace = Pace(cap=self._settings["rate"])
            if not self._settings["cold"]:  # the API's limit is known, as after a first answer
                headers = {"x-ratelimit-limit": "1000", "x-ratelimit-remaining": "2000"}
                pace.learn(200, headers, time.monotonic(), datetime.now(UTC))
            observe = pacing_observer(pace)
            timeout = self._settings["timeout"]
            async with AsyncClient(self.token, base_url=self._url, timeout=timeout, observe=observe) as client:
                deliverer = Deliverer(
                    self.outbox,
                    client,
                    self.token,
                    pace,
                    concurrency=self._settings["concurrency"],
                    limits=self._settings["limits"],
                    observe=lambda item, settlement: self.settled.append((item, settlement)),
                )
                return await deliver(deliverer)

        return asyncio.run(main())

    def drain(self, patience: float = 10.0) -> Any:
        return self.run(lambda deliverer: deliverer.drain(patience=patience))

    def put(self, *pieces: Evidence) -> list[int]:
        return self.outbox.put("aws", "here", pieces, None, now=NOW)

    @property
    def states(self) -> dict[str, int]:
        return {state: count.items for state, count in self.outbox.counts().items()}
