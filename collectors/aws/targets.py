"""Where AWS is read: an account as a whole, and each of its regions."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from collectors.aws.access import Access
from collectors.aws.batches import batches
from collectors.aws.errors import code, translation
from collectors.aws.pace import Pace
from collectors.aws.permissions import DISCOVERY, SIMULATION, action
from collectors.aws.simulation import principal, refusal
from collectors.contract import Run, Target
from collectors.errors import CollectionError

Answer = dict[str, Any]
T = TypeVar("T")

_SIMULATED = 100  # actions of one question


class Place(Target):
    """Reads through one client a service and region, made when first needed and dropped with the place.

    Operations are named as in `s3:GetBucketEncryption`: the service as botocore calls it, and the API's own name.
    """

    def __init__(self, run: Run, access: Access, region: str | None = None) -> None:
        super().__init__(run, access.reads)
        access.entered()
        self.access = access
        self._region = region
        self.account = access.settings.account or access.caller().account
        self._clients: dict[tuple[str, str], tuple[Any, Pace]] = {}
        self._lock = threading.Lock()

    @property
    def region(self) -> str:
        """Where is asked: the place's own region, or the account's home, which may change as the account is entered."""
        return self._region or self.access.home

    @property
    def partition(self) -> str:
        """The partition that ARNs begin with: `aws`, `aws-cn`, `aws-us-gov`. Raises CollectionError."""
        return self.access.caller().partition

    def identity(self) -> str:
        """The caller's ARN. Raises CollectionError."""
        return self.access.caller().arn

    def read(self, operation: str, /, *, region: str | None = None, keep: bool = False, **parameters: Any) -> Answer:
        """The answer of an operation, asked for once a run. Raises CollectionError.

        `region` is where to ask, if not in the place's own region. `keep` says that the evidence type itself asks
        for the same again.
        """
        call = partial(self.call, operation, region=region, **parameters)
        return self.remember(operation, call, region=region, keep=keep, **parameters)

    def remember(
        self,
        operation: str,
        call: Callable[[], T],
        /,
        *,
        region: str | None = None,
        keep: bool = False,
        **parameters: Any,
    ) -> T:
        """What `call` makes of an operation's answer, called once a run. Raises CollectionError."""
        where = region or self.region
        elsewhere = {} if where == self.region else {"Region": where}
        return self.reads.read(
            operation,
            parameters,
            call,
            permission=action(operation),
            place=where,
            noted=parameters | elsewhere,
            keep=keep,
        )

    def find(self, absent: Collection[str], operation: str, /, **parameters: Any) -> Answer | None:
        """Like `read`, or None where AWS answers with one of the codes that mean that nothing is set."""
        try:
            return self.read(operation, **parameters)
        except CollectionError as error:
            if code(error) in absent:
                return None
            raise

    def pages(self, operation: str, key: str, /, **asked: Any) -> Iterator[Answer]:
        """What lies under `key` in all pages of an operation, asked for as in `read`."""
        for page in self.answers(operation, **asked):
            yield from page.get(key) or ()

    def answers(
        self, operation: str, /, *, region: str | None = None, keep: bool = False, **parameters: Any
    ) -> Iterator[Answer]:
        """All pages of an operation. Each is a read of its own."""
        from botocore.paginate import Paginator

        service, name = operation.split(":")
        client, _ = self._client(service, region or self.region)
        model = client.meta.service_model.operation_model(name)
        read = partial(self.read, operation, region=region, keep=keep)
        yield from Paginator(read, self.access.paginator(service, name), model).paginate(**parameters)

    def call(self, operation: str, /, *, region: str | None = None, **parameters: Any) -> Answer:
        """Asks now, without remembering the answer: for an operation whose answer is waited for."""
        from botocore import xform_name

        service, name = operation.split(":")
        self.access.caller()
        where = region or self.region
        is_offered = partial(self.access.is_offered, service, where)
        with translation(operation, action(operation), place=self.access.place(where), is_offered=is_offered):
            client, pace = self._client(service, where)
            answer: Answer = pace.ask(getattr(client, xform_name(name)), parameters)
        answer.pop("ResponseMetadata", None)
        return answer

    def refused(self, permissions: Iterable[str]) -> Mapping[str, str]:
        """What IAM's policy simulation does not allow; nothing where the agent may not ask it."""
        simulated: dict[str, str] = {}
        try:
            arn = principal(self.identity(), self.access.settings.role_arn)
            for actions in batches(sorted(permissions), _SIMULATED) if arn else ():
                for result in self._simulate(arn, actions):
                    if reason := refusal(result):
                        simulated[result["EvalActionName"]] = f"IAM's policy simulation says: {reason}"
        except CollectionError:
            return {}
        return simulated

    def _simulate(self, arn: str | None, actions: Sequence[str]) -> Iterator[Answer]:
        asked: dict[str, Any] = {"PolicySourceArn": arn, "ActionNames": list(actions)}
        return self.pages(SIMULATION, "EvaluationResults", region=self.access.home, keep=True, **asked)

    def close(self) -> None:
        """Lets go of clients, and of the account's answers with its last place."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client, _ in clients.values():
            client.close()
        clients.clear()  # what leaves an account is collected as it is left, and these with it
        self.access.left()

    def _client(self, service: str, region: str) -> tuple[Any, Pace]:
        """The client and its pace, once the account is known to be open: a denied role is tried once, not a read."""
        if (service, region) not in self._clients:
            self.access.caller()
            with self._lock:
                if (service, region) not in self._clients:
                    known = self.access.is_offered(service, region)
                    pace = Pace(self.run, f"{service} in {region} of {self.account}", is_expected=known)
                    self._clients[service, region] = self.access.client(service, region), pace
        return self._clients[service, region]


class Account(Place):
    """An account: what is global in it, and what is listed once for all its regions."""

    def __init__(self, run: Run, access: Access) -> None:
        super().__init__(run, access)
        self.id = self.account
        self.description = {"account": self.account}

    def regions(self) -> tuple[str, ...]:
        """The regions to read: the configured ones, or those enabled in the account. Raises CollectionError."""
        if self.access.regions:
            return self.access.regions
        found = self.read(DISCOVERY)["Regions"]
        names = tuple(sorted(region["RegionName"] for region in found if region.get("OptInStatus") != "not-opted-in"))
        self.access.enabled = frozenset(names)
        return names


class Region(Place):
    """One region of one account."""

    def __init__(self, run: Run, access: Access, region: str) -> None:
        super().__init__(run, access, region)
        self.id = f"{self.account}/{region}"
        self.alike = f"the regions of {self.account}"
        self.description = {"account": self.account, "region": region}

    def arn(self, service: str, resource: str, *, owner: str | None = None) -> str:
        """The ARN of what is in this region, where AWS tells none: of the account, unless it has another owner."""
        account = self.account if owner is None else owner
        return f"arn:{self.partition}:{service}:{self.region}:{account}:{resource}"


def tags(listed: Iterable[Answer] | None) -> dict[str, str]:
    """Tags as most services list them, by their keys."""
    return {tag["Key"]: tag.get("Value", "") for tag in listed or ()}
