"""Which controls an evidence type is for: from the configuration, and from the API's own test policies.

What the API says is kept in the state directory, so that collecting goes on while the API is away.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.client import Client
from agent.errors import NotFound
from agent.private import replace_private
from collectors.contract import EvidenceType

CACHE = "controls.json"


class KnownControl(BaseModel):
    """What mapping needs to know of a control."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    framework: str
    code: str
    evaluator: str | None
    cadence: str | None
    status: str


class Discovery(BaseModel):
    """The workspace's controls as the API last told them. `fetched_at` is seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    base_url: str
    fetched_at: float
    controls: tuple[KnownControl, ...]

    @classmethod
    def fetch(cls, client: Client, base_url: str) -> Self:
        """Reads every control with its test policy. Raises ChequrError."""
        known = []
        for summary in client.controls(limit=100):
            try:
                control = client.control(summary.id)
            except NotFound:  # it was deleted since it was listed
                continue
            policy = control.test_policy
            known.append(
                KnownControl(
                    id=control.id,
                    name=control.name,
                    framework=control.framework,
                    code=control.code,
                    evaluator=policy.evaluator if policy else None,
                    cadence=policy.cadence if policy else None,
                    status=control.status,
                )
            )
        return cls(base_url=base_url, fetched_at=time.time(), controls=tuple(known))

    @classmethod
    def load(cls, state_dir: Path, base_url: str) -> Self | None:
        """What was kept for this API; None where nothing was, or nothing readable."""
        try:
            kept = cls.model_validate_json((state_dir / CACHE).read_bytes())
        except (OSError, ValidationError):
            return None
        return kept if kept.base_url == base_url else None

    def save(self, state_dir: Path) -> None:
        """Replaces what was kept, all at once."""
        replace_private(state_dir / CACHE, self.model_dump_json().encode())

    def is_older_than(self, age: timedelta) -> bool:
        """Also where it was fetched by a clock that has since been set back."""
        return not 0 <= time.time() - self.fetched_at < age.total_seconds()


@dataclass(frozen=True)
class ControlMap:
    """Control ids by evidence type. `known` is every control of the workspace, or None where that was never read."""

    configured: Mapping[str, Sequence[str]]
    discovery: Discovery | None

    def controls_for(self, evidence_type: str) -> tuple[str, ...]:
        """The configuration wins; where it says nothing, each control whose evaluator has the type's name."""
        if evidence_type in self.configured:
            return tuple(dict.fromkeys(self.configured[evidence_type]))
        if self.discovery is None:
            return ()
        return tuple(control.id for control in self.discovery.controls if control.evaluator == evidence_type)

    def has_place_for(self, kind: EvidenceType[Any]) -> bool:
        """Whether evidence of a type has anywhere to go."""
        return kind.speaks_for_itself or bool(self.controls_for(kind.id))

    def cadences(self, evidence_type: str) -> tuple[str, ...]:
        """How often the type's controls want it, in the API's words."""
        wanted = set(self.controls_for(evidence_type))
        known = self.discovery.controls if self.discovery else ()
        return tuple(control.cadence for control in known if control.id in wanted and control.cadence)

    @property
    def known(self) -> frozenset[str] | None:
        if self.discovery is None:
            return None
        configured = {control for controls in self.configured.values() for control in controls}
        return frozenset(control.id for control in self.discovery.controls) | configured
