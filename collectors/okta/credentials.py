"""The ways of signing in to an org, in the words of the SDK's configuration."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collectors.errors import Unauthenticated
from collectors.secret import SecretMissing, read_secret

_MINUTES_TO_RENEW_EARLY = 1  # tokens may live for five only, and a read takes half a minute at most
_RSA_NUMBERS = ("n", "e", "d", "p", "q", "dp", "dq", "qi")
_PEM = re.compile(r"-----BEGIN (?:RSA )?PRIVATE KEY-----")
_BASE64URL = re.compile(r"(?:[\w-]{4})*(?:[\w-]{2,3})?", re.ASCII)


def api_token(file: Path | None) -> dict[str, Any]:
    """Signing in by API token. Raises Unauthenticated where there is no usable one."""
    token = _secret("okta_token", file)
    if not re.fullmatch(r"[!-~]+", token):
        raise Unauthenticated(
            "the okta_token holds characters that no API token has: store the token alone in its file"
        )
    return {"authorizationMode": "SSWS", "token": token}


def service_app(
    client_id: str, file: Path | None, scopes: Sequence[str], *, key_id: str | None = None, dpop: bool = False
) -> dict[str, Any]:
    """Signing in as a service app, by its private key. Raises Unauthenticated where the key cannot be used.

    With `dpop` each read proves that it comes from whom the token was given to (RFC 9449).
    """
    return {
        "authorizationMode": "PrivateKey",
        "clientId": client_id,
        "scopes": list(scopes),
        "privateKey": _private_key(_secret("okta_private_key", file)),
        "oauthTokenRenewalOffset": _MINUTES_TO_RENEW_EARLY,
        "dpopEnabled": dpop,
        **({"kid": key_id} if key_id else {}),
    }


def check(client: dict[str, Any]) -> None:
    """Raises Unauthenticated where the SDK could not sign with the private key."""
    if "privateKey" not in client:
        return
    from okta.jwt import JWT

    signer: Any = JWT
    try:
        signer.get_PEM_JWK(client["privateKey"])
    except (ValueError, TypeError):
        # Not chained: what the libraries say may quote the key.
        raise _unusable() from None


def _secret(name: str, file: Path | None) -> str:
    try:
        return read_secret(name, file)
    except SecretMissing as error:
        raise Unauthenticated(str(error)) from error


def _private_key(text: str) -> str | dict[str, str]:
    """The key as the SDK takes it: PEM as text, a JWK as a mapping of texts only."""
    if _PEM.match(text):
        return text
    try:
        jwk = json.loads(text)
    except ValueError:
        raise _unusable() from None
    if not isinstance(jwk, dict) or not all(_BASE64URL.fullmatch(str(jwk.get(name, "?"))) for name in _RSA_NUMBERS):
        raise _unusable()
    return {name: value for name, value in jwk.items() if isinstance(value, str)}


def _unusable() -> Unauthenticated:
    return Unauthenticated(
        "the okta_private_key cannot be used: it must be an RSA private key, unencrypted, PEM or JWK"
    )
