"""Answers that are not 2xx, and the codes that their bodies carry.

    400  malformed_json, validation_error, invalid_cursor, deprecated_parameter, invalid_idempotency_key
    401  unauthorized
    403  forbidden
    404  not_found
    405  method_not_allowed
    409  idempotency_key_reused, idempotency_key_in_progress, duplicate_resource
    413  body_too_large (and payload_too_large, where the sandbox is told so)
    422  payload_too_large, collected_in_future, invalid_url, invalid_secret, invalid_events, invalid_range
    429  rate_limited
    500  server_error
    503  service_unavailable

400 is a request that cannot be read, or a field that is missing or of the wrong type; 422 one that can be
read and breaks a rule.
"""

import json
from collections.abc import Mapping


class Refusal(Exception):
    """Ends a request with `status` and the API's error body: code, message, and detail where there is any."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = {name: text for name, text in (("field", field), ("hint", hint)) if text is not None}
        self.headers = dict(headers or {})

    @property
    def body(self) -> bytes:
        told: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail:
            told["detail"] = self.detail
        return encode(told)


def invalid(field: str, message: str, hint: str) -> Refusal:
    """A field or parameter that is missing or of the wrong type."""
    return Refusal(400, "validation_error", message, field=field, hint=hint)


def unknown_control(control_id: str) -> Refusal:
    return Refusal(
        404,
        "not_found",
        f'There is no control "{control_id}" in this workspace.',
        field="control_id",
        hint="List the controls with GET /v1/controls.",
    )


def encode(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
