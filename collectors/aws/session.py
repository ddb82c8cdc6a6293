"""Sessions, and boto3 clients made from them."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from collectors.aws.settings import Settings

ATTEMPTS = 10  # adaptive retries slow down as well: with fewer, reads are lost under a tight server limit
UNANSWERED_ATTEMPTS = 3  # an endpoint that does not answer will not do so sooner for being asked more often


def untouched(_session: Any) -> None:
    """Leaves a new session as it is."""


class Session(NamedTuple):
    """One session: botocore's, which holds loader, credentials and events, and boto3's over it, which makes clients."""

    core: Any
    boto3: Any


class Sessions:
    """Makes sessions that share one loader, since parsing a service's model costs far more than calling it.

    `prepare` is given each session before it is used: the place to register botocore event handlers.
    """

    def __init__(self, settings: Settings, workers: int, prepare: Callable[[Any], None] = untouched) -> None:
        from botocore.config import Config

        self._settings = settings
        self._prepare = prepare
        self._loader: Any = None
        self._lock = threading.Lock()  # sessions are not safe over threads, clients are
        self._config = Config(
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=max(workers, 10),
            retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS},
            user_agent_extra="chequr-agent",
            s3={"addressing_style": "path"} if settings.endpoint_url else None,
            inject_host_prefix=not settings.endpoint_url,
        )

    def new(self) -> Session:
        """A session of the configured profile."""
        import boto3
        import botocore.session

        session = botocore.session.Session(profile=self._settings.profile)
        if self._loader is None:
            self._loader = session.get_component("data_loader")
        session.register_component("data_loader", self._loader)
        session.set_config_variable("sts_regional_endpoints", "regional")
        if self._settings.endpoint_url:
            session.register("before-call.s3-control", _without_account_in_host)
        self._prepare(session)
        return Session(session, boto3.Session(botocore_session=session))

    def client(self, session: Session, service: str, region: str, **credentials: Any) -> Any:
        """A client of one service in one region, safe over threads."""
        with self._lock:
            client = session.boto3.client(
                service,
                region_name=region,
                endpoint_url=self._settings.endpoint_url,
                config=self._config,
                **credentials,
            )
        client.meta.events.register_first(
            f"needs-retry.{client.meta.service_model.service_id.hyphenize()}", Patience().needs_retry
        )
        return client

    def paginator(self, session: Session, service: str, operation: str) -> Any:
        """How botocore pages through an operation: its tokens' names."""
        with self._lock:
            return session.core.get_paginator_model(service).get_paginator(operation)


class Patience:
    """Ends the retries of a client whose endpoint does not answer, long before those of one that is throttled.

    botocore's retries count up to ten attempts for either. An endpoint once lost is asked once a read from then on.
    """

    def __init__(self) -> None:
        self._attempts = UNANSWERED_ATTEMPTS

    def needs_retry(self, attempts: int, caught_exception: Exception | None, **_event: Any) -> None:
        from botocore import exceptions as aws

        if not isinstance(caught_exception, (aws.ConnectionError, aws.HTTPClientError)) or attempts < self._attempts:
            return
        if isinstance(caught_exception, aws.ConnectionError):
            self._attempts = 1
        raise caught_exception


def _without_account_in_host(params: dict[str, Any], **_event: Any) -> None:
    """S3 Control puts the account's id before the host; an endpoint of one's own has no such name."""
    account = params["headers"].get("x-amz-account-id", "")
    params["url"] = params["url"].replace(f"://{account}.", "://", 1)
