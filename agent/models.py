"""What the API answers. Fields and values that the API adds later pass through; timestamps are always aware."""

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler
from pydantic import field_validator as validator

T = TypeVar("T")


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Instant = Annotated[datetime, AfterValidator(_aware)]
"""A point in time; UTC where the API names no zone."""


class Answer(BaseModel):
    """Part of an answer. Unknown fields are kept, and found under their own names."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)


class Receipt(Answer):
    """The API has taken a piece of evidence."""

    request_id: str | None = Field(default=None, description="The answer's X-Request-Id, for Chequr's support.")
    id: str = Field(min_length=1, description="The evidence item's id, as in `ev_01HX9K2ZP7N4YQ8R5T3V`.")
    status: str = Field(description="`accepted`.")
    created_at: Instant = Field(description="When the API took it.")


class ControlSummary(Answer):
    """A control as it is listed."""

    id: str = Field(description="The id that evidence is submitted to, as in `ctrl_ac_02`.")
    framework: str = Field(description="`soc2`, `iso_27001`, `hipaa`, `pci_dss`, `gdpr` or `nist_csf`.")
    code: str = Field(description="The framework's own number, as in `CC6.1`.")
    name: str = Field(description="What the control asks for.")
    status: str = Field(description="`passing`, `failing`, `drifted` or `not_tested`.")
    last_tested_at: Instant | None = Field(default=None, description="The last test; null where there was none.")


class Owner(Answer):
    """Who answers for a control."""

    id: str = Field(description="The user's id, as in `usr_42`.")
    name: str | None = Field(default=None, description="The user's name.")


class Policy(Answer):
    """How a control is tested."""

    cadence: str | None = Field(default=None, description="How often, as in `daily`.")
    evaluator: str | None = Field(default=None, description="The evidence type that it wants.")


class EvidenceItem(Answer):
    """A piece of evidence as its control lists it."""

    id: str = Field(description="The same id as in the receipt.")
    source: str = Field(description="Where it came from: `aws`, `okta`, `github`, `manual`, …")
    status: str | None = Field(default=None, description="`pass`, `fail` or `review`; null until it is evaluated.")
    collected_at: Instant = Field(description="When it was observed.")


class Control(ControlSummary):
    """A control with its owner, its test policy and its last 50 evidence items."""

    owner: Owner | None = Field(default=None, description="Who answers for it; null where nobody does.")
    test_policy: Policy | None = Field(default=None, description="How it is tested; null where it is not.")
    evidence: tuple[EvidenceItem, ...] = Field(default=(), description="The last 50 evidence items.")


class Webhook(Answer):
    """A subscription to events. The API does not tell the secret again."""

    id: str = Field(description="The webhook's id, as in `wh_01HX9M7R2T8YV4K6N3P5Q9`.")
    url: str = Field(description="Where events are POSTed to.")
    events: tuple[str, ...] = Field(description="Which events.")
    created_at: Instant = Field(description="When it was registered.")


class Actor(Answer):
    """Who did something."""

    type: str = Field(description="`user` or `api_key`.")
    id: str = Field(description="The user's or the key's id.")
    name: str | None = Field(default=None, description="The user's name; a key has none.")


class AuditLogEntry(Answer):
    """One action taken in the workspace."""

    id: str = Field(description="The entry's id.")
    actor: Actor = Field(description="Who acted.")
    action: str = Field(description="What was done, as in `evidence.submitted`.")
    target: str | None = Field(default=None, description="The id of what it was done to.")
    at: Instant = Field(description="When.")


class Page(Answer, Generic[T]):
    """One page of a list."""

    data: tuple[T, ...] = Field(description="The page's items.")
    next_cursor: str | None = Field(default=None, description="Where the next page starts; null on the last one.")


class Detail(Answer):
    """What an error body says about the field at fault."""

    field: str | None = Field(default=None, description="The field's name.")
    hint: str | None = Field(default=None, description="How to mend it.")


class Refusal(Answer):
    """The body of every answer that is not a success."""

    code: str = Field(description="The machine-readable reason, as in `validation_error`.")
    message: str = Field(description="The reason in words.")
    detail: Detail | None = Field(default=None, description="The field at fault; null where there is none.")

    @validator("detail", mode="wrap")
    @classmethod
    def _spared(cls, value: object, read: ValidatorFunctionWrapHandler) -> object:
        """A detail of another shape is dropped; the code and the message still count."""
        try:
            return read(value)
        except ValidationError:
            return None
