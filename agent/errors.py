"""What can go wrong between the agent and the API.

ChequrError
├── TokenUnusable           no token where one was looked for, or one that no header can carry
├── NoAnswer                refused, reset, timed out, TLS: once it was sent, nobody knows whether it was taken
├── UnreadableAnswer        a 2xx that is not what the API documents, or a redirect: not a success
└── ApiError                the API said no: status, code, message, detail, request id
    ├── BadRequest          400
    ├── Unauthorized        401
    ├── Forbidden           403
    ├── NotFound            404
    ├── Conflict            409
    ├── UnprocessableEntity 422
    ├── RateLimited         429
    ├── ServerError         500
    └── ServiceUnavailable  503
"""

from agent.models import Detail


class ChequrError(Exception):
    """Whatever stops the agent from having the API's word."""


class TokenUnusable(ChequrError):
    """There is no token, or it cannot be sent. The message names the places and never the token."""


class NoAnswer(ChequrError):
    """No whole answer came: refused, reset, timed out, or no TLS.

    `sent` is whether the request may have been taken all the same; it is False only where no connection was made.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class UnreadableAnswer(ChequrError):
    """A success that cannot be one, such as a captive portal's page, or a redirect, which is not followed.

    `status` is the HTTP status, `media` the content type; the body is kept out, since anybody may have written it.
    """

    def __init__(self, message: str, *, status: int, request_id: str | None, media: str) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.request_id = request_id
        self.media = media

    def __str__(self) -> str:
        return f"{_lead(self.request_id)} {self.status}: {self.message}"


class ApiError(ChequrError):
    """The API's own no.

    `status` is the HTTP status; `code`, `message` and `detail` are the error body's, `code` being empty where there
    is no documented body. `retry_after` is how many seconds the API asks to wait, None where it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        detail: Detail | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        detail = self.detail or Detail()
        hints = ": ".join(part for part in (detail.field, detail.hint) if part)
        text = f"{_lead(self.request_id)} {self.status} {self.code}".rstrip() + f": {self.message}"
        return f"{text} ({hints})" if hints else text


class BadRequest(ApiError):
    """400: malformed JSON, or a required field is missing."""


class Unauthorized(ApiError):
    """401: the token is missing, wrong or revoked."""


class Forbidden(ApiError):
    """403: the token is valid, but lacks the scope."""


class NotFound(ApiError):
    """404: there is no such resource."""


class Conflict(ApiError):
    """409: a duplicate, or an idempotency key that was used before."""


class UnprocessableEntity(ApiError):
    """422: well-formed, but against a business rule."""


class RateLimited(ApiError):
    """429: too many requests; `retry_after` says how long to wait."""


class ServerError(ApiError):
    """500: unexpected, on the API's side."""


class ServiceUnavailable(ApiError):
    """503: something that the API depends on is degraded; safe to send again."""


TokenRefused = TokenUnusable | Unauthorized | Forbidden
"""What only another token mends, for `isinstance`."""

_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: UnprocessableEntity,
    429: RateLimited,
    500: ServerError,
    503: ServiceUnavailable,
}


def kind_of(status: int) -> type[ApiError]:
    """The class for an HTTP status; ApiError itself for one that the API does not document."""
    return _BY_STATUS.get(status, ApiError)


def _lead(request_id: str | None) -> str:
    return f"[{request_id or 'no request id'}]"
