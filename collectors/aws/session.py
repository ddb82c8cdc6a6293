"""Sessions, and boto3 clients made from them."""

import logging
import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from collectors.aws.models import loader
from collectors.aws.settings import Settings

STS_ATTEMPTS = 5  # by botocore; all else is asked again by Pace
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


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
        import botocore
        from botocore.config import Config

        # A role that is denied is a gap of ours; botocore writes a traceback as well.
        logging.getLogger("botocore.credentials").setLevel(logging.ERROR)
        self._settings = settings
        self._prepare = prepare
        self._loader = loader()
        self._lock = threading.Lock()  # sessions are not safe over threads, clients are
        self._config = Config(
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=max(workers, 10),
            retries={"mode": "standard", "total_max_attempts": 1},
            user_agent=f"chequr-agent Botocore/{botocore.__version__}",  # whole: botocore's own is made for each call
            s3={"addressing_style": "path"} if settings.endpoint_url else None,
            inject_host_prefix=not settings.endpoint_url,
        )
        self._sts_config = self._config.merge(Config(retries={"mode": "standard", "total_max_attempts": STS_ATTEMPTS}))

    def new(self) -> Session:
        """A session of the configured profile."""
        import boto3
        import botocore.session

        session = botocore.session.Session(profile=self._settings.profile)
        session.register_component("data_loader", self._loader)
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=timestamp)
        session.set_config_variable("sts_regional_endpoints", "regional")
        if self._settings.endpoint_url:
            session.register("before-call.s3-control", _without_account_in_host)
        self._prepare(session)
        return Session(session, boto3.Session(botocore_session=session))

    def client(self, session: Session, service: str, region: str, **credentials: Any) -> Any:
        """A client of one service in one region, safe over threads."""
        with self._lock:
            return session.boto3.client(
                service,
                region_name=region,
                endpoint_url=self._settings.endpoint_url,
                config=self._sts_config if service == "sts" else self._config,
                **credentials,
            )

    def is_offered(self, session: Session, service: str, region: str) -> bool:
        """Whether botocore's list of endpoints has a service in a region, as far as it lists the service by region."""
        if self._settings.endpoint_url:
            return True
        core = session.core
        with self._lock:
            own = core.get_available_regions(service, core.get_partition_for_region(region))
            partitions = () if own else core.get_available_partitions()
            return region in own if own else not any(core.get_available_regions(service, each) for each in partitions)

    def paginator(self, session: Session, service: str, operation: str) -> Any:
        """How botocore pages through an operation: its tokens' names."""
        with self._lock:
            return session.core.get_paginator_model(service).get_paginator(operation)


def timestamp(value: Any) -> datetime:
    """A time as AWS writes it. botocore's own parser, made for all ways to write one, takes most of a large page's."""
    from botocore.utils import parse_timestamp

    if isinstance(value, str) and _ISO.fullmatch(value):
        return datetime.fromisoformat(value)
    parsed: datetime = parse_timestamp(value)
    return parsed


def _without_account_in_host(params: dict[str, Any], **_event: Any) -> None:
    """S3 Control puts the account's id before the host; an endpoint of one's own has no such name."""
    account = params["headers"].get("x-amz-account-id", "")
    params["url"] = params["url"].replace(f"://{account}.", "://", 1)
