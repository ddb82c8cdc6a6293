"""Where AWS is read: an account as a whole, and each of its regions."""

import threading
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

from collectors.aws.access import Access
from collectors.aws.errors import code, translation
from collectors.aws.permissions import action
from collectors.contract import Run, Target
from collectors.errors import CollectionError

Answer = dict[str, Any]


class Place(Target):
    """Reads through one client a service and region, made when first needed and dropped with the place.

    Operations are named as in `s3:GetBucketEncryption`: the service as botocore calls it, and the API's own name.
    """

    def __init__(self, run: Run, access: Access, region: str) -> None:
        super().__init__(run)
        self.access = access
        self.region = region
        self.account = access.settings.account or access.caller().account
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    @property
    def partition(self) -> str:
        """The partition that ARNs begin with: `aws`, `aws-cn`, `aws-us-gov`. Raises CollectionError."""
        return self.access.caller().partition

    def identity(self) -> str:
        """The caller's ARN. Raises CollectionError."""
        return self.access.caller().arn

    def read(self, operation: str, /, *, region: str | None = None, **parameters: Any) -> Answer:
        """The answer of an operation, asked for once a run. Raises CollectionError.

        `region` is where to ask, if not in the place's own region.
        """
        where = {} if region in (None, self.region) else {"Region": region}
        call = partial(self.call, operation, region=region, **parameters)
        return self.reads.read(operation, parameters | where, call, permission=action(operation))

    def find(self, absent: Collection[str], operation: str, /, **parameters: Any) -> Answer | None:
        """Like `read`, or None where AWS answers with one of the codes that mean that nothing is set."""
        try:
            return self.read(operation, **parameters)
        except CollectionError as error:
            if code(error) in absent:
                return None
            raise

    def pages(self, operation: str, key: str, /, *, region: str | None = None, **parameters: Any) -> Iterator[Answer]:
        """What lies under `key` in all pages of an operation. Each page is a read of its own."""
        from botocore.paginate import Paginator

        service, name = operation.split(":")
        model = self._client(service, region or self.region).meta.service_model.operation_model(name)
        read = partial(self.read, operation, region=region)
        for page in Paginator(read, self.access.paginator(service, name), model).paginate(**parameters):
            yield from page.get(key) or ()

    def call(self, operation: str, /, *, region: str | None = None, **parameters: Any) -> Answer:
        """Asks now, without remembering the answer: for an operation whose answer is waited for."""
        from botocore import xform_name

        service, name = operation.split(":")
        where = region or self.region
        with translation(operation, action(operation), elsewhere=where != self.access.home):
            answer: Answer = getattr(self._client(service, where), xform_name(name))(**parameters)
        answer.pop("ResponseMetadata", None)
        return answer

    def close(self) -> None:
        super().close()
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _client(self, service: str, region: str) -> Any:
        """The client, once it is known that the account can be entered: a denied role is tried once, not a read."""
        if (service, region) not in self._clients:
            self.access.caller()
            with self._lock:
                if (service, region) not in self._clients:
                    self._clients[service, region] = self.access.client(service, region)
        return self._clients[service, region]


class Account(Place):
    """An account: what is global in it, and what is listed once for all its regions."""

    def __init__(self, run: Run, access: Access) -> None:
        super().__init__(run, access, access.home)
        self.id = self.account
        self.description = {"account": self.account}

    def regions(self) -> tuple[str, ...]:
        """The regions to read: the configured ones, or those enabled in the account. Raises CollectionError."""
        if self.access.regions:
            return self.access.regions
        found = self.read("ec2:DescribeRegions")["Regions"]
        return tuple(sorted(region["RegionName"] for region in found if region.get("OptInStatus") != "not-opted-in"))


class Region(Place):
    """One region of one account."""

    def __init__(self, run: Run, access: Access, region: str) -> None:
        super().__init__(run, access, region)
        self.id = f"{self.account}/{region}"
        self.description = {"account": self.account, "region": region}
