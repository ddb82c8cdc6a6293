"""Reads one organization of the local GitHub, as a run does."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from collectors.contract import EvidenceType, Gap, Period, Run
from collectors.errors import CollectionError
from collectors.github import SOURCE
from collectors.github.targets import Organization
from collectors.registry import evidence_types
from tests.fakes.github import GitHub

UNTIL = datetime(2026, 4, 15, tzinfo=UTC)
MONTH = Period(UNTIL - timedelta(days=30), UNTIL)
KINDS = {kind.id: kind for kind in evidence_types("github")}


def period(kind: EvidenceType) -> Period | None:
    """The first period of a type, as a run that began at UNTIL reads it."""
    return Period(UNTIL - kind.window + timedelta(seconds=1), UNTIL) if kind.window else None


def app_settings(github: GitHub, folder: Path, key: RSAPrivateKey) -> dict:
    """The settings that read `github` as its App, which has this key from now on."""
    pem = serialization.Encoding.PEM
    github.public_key = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    file = folder / "key.pem"
    file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return {"app_id": github.app_id, "private_key_file": str(file), "installation_id": github.installation_id}


class Reader:
    """Reads one organization of a fake, and keeps what a run is told."""

    def __init__(self, github: GitHub, folder: Path, pool: ThreadPoolExecutor, **settings):
        token = folder / "token"
        token.write_text(github.token)
        identity = {} if "app_id" in settings else {"token_file": token}
        keys = {"organizations": ["acme"], "base_url": github.url, **identity, **settings}
        self.cancelled = threading.Event()
        self.waits: list[tuple[str, float]] = []
        self.run = Run("github", UNTIL, pool, 4, self.cancelled, lambda *wait: self.waits.append(wait))
        (target,) = SOURCE.connect(SOURCE.settings.model_validate(keys), self.run)
        assert isinstance(target, Organization)
        self.target = target

    def read(self, kind: EvidenceType, period: Period | None = None) -> tuple[list, list[Gap]]:
        seen, gaps = [], []
        try:
            for outcome in kind(self.target, period):
                (gaps if isinstance(outcome, Gap) else seen).append(outcome)
        except CollectionError as error:
            gaps.append(error.gap())
        return seen, gaps

    def close(self) -> None:
        self.target.close()
