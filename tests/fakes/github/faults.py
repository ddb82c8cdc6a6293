"""The ways in which GitHub, and what stands between here and it, is known to fail: what a Fault answers."""

import time

PRIMARY = {"message": "API rate limit exceeded for user ID 99."}
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
SAML = {"message": "Resource protected by organization SAML enforcement. You must grant your token access."}
NOT_GRANTED = {"message": "Resource not accessible by integration"}
MOVED = {"message": "Moved Permanently"}
HTML = {"status": 200, "body": b"<html>Sign in</html>", "headers": {"Content-Type": "text/html"}}
NOTHING = {"status": 200, "body": b""}
NOT_READY = {"status": 202, "body": {}}
BROKEN = {"status": 502, "body": {"message": "Server Error"}}


def too_many(after: str | None = None) -> dict:
    return {"status": 429, "body": SECONDARY, "headers": {"Retry-After": after} if after else {}}


def used_up(seconds: float) -> dict:
    """The primary limit, which is whole again after so many seconds."""
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{time.time() + seconds:.0f}"}
    return {"status": 403, "body": PRIMARY, "headers": reset}


def used_up_inside(seconds: float) -> dict:
    """The same, as GraphQL says it."""
    limited = {"errors": [{"type": "RATE_LIMITED", **PRIMARY}]}
    return {**used_up(seconds), "status": 200, "body": limited}


def secondary() -> dict:
    return {"status": 403, "body": SECONDARY}


def single_sign_on() -> dict:
    return {"status": 403, "body": SAML, "headers": {"X-GitHub-SSO": "required; url=https://github.com/orgs/acme/sso"}}


def not_granted(permission: str) -> dict:
    return {"status": 403, "body": NOT_GRANTED, "headers": {"X-Accepted-GitHub-Permissions": f"{permission}=read"}}


def hidden() -> dict:
    return {"status": 404, "body": {"message": "Not Found"}}


def moved(url: str) -> dict:
    return {"status": 301, "body": MOVED, "headers": {"Location": url}}
