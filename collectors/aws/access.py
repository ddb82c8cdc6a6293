"""The way into one account: its credentials, who they turn out to be, and clients that use them."""

import ctypes
import gc
import threading
from contextlib import closing, suppress
from functools import partial
from typing import Any, NamedTuple

from collectors.aws.errors import REGION_OFF, UNKNOWN_CREDENTIALS, Place, code, translation
from collectors.aws.session import Session, Sessions
from collectors.aws.settings import AccountSettings
from collectors.contract import Reads
from collectors.errors import Unauthenticated

ROLE_SESSION_NAME = "chequr-agent"
ROLE_SESSION_SECONDS = 3600  # the most that role chaining allows; under 1800 botocore would renew without end
FIRST_REGIONS = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-eusc": "eusc-de-east-1",
}
# Those of the partition `aws` that no account can switch off. What came after them is off until an account opts in.
ALWAYS_ON = frozenset({
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1",
    "us-east-2", "us-west-1", "us-west-2",
})  # fmt: skip


class Caller(NamedTuple):
    """Whom AWS takes the agent for."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        return self.arn.split(":")[1]


class Access:
    """Credentials of one account: the ambient ones, or those of a role assumed with them and renewed in time.

    `reads` are the answers of all places of the account: what is read for the account may be a region's as well.
    """

    def __init__(
        self, sessions: Sessions, account: AccountSettings, regions: tuple[str, ...] | None, reads: Reads
    ) -> None:
        self.settings = account
        self.regions = regions
        self.reads = reads
        self.enabled: frozenset[str] = frozenset()  # as far as AWS was asked
        self._sessions = sessions
        self._caller: Caller | None = None
        self._places = 0
        self._lock = threading.Lock()
        with translation("sts:GetCallerIdentity", None):
            self._session = sessions.new()
            self.home = _home(self._session, account, regions)
            if account.role_arn:
                ambient, self._session = self._session, sessions.new()
                self._session.core.register_component(
                    "credential_provider", AssumedRole(sessions, ambient, account, self.home)
                )

    def caller(self) -> Caller:
        """Who reads. Asked of AWS once, which also assumes the role. Raises CollectionError."""
        if self._caller is None:
            self._caller = self.reads.read("sts:GetCallerIdentity", {}, self._ask)
        return self._caller

    def place(self, region: str) -> Place:
        """What is known of a region."""
        if region == self.home:
            return "home"
        is_on = region in self.enabled or not _is_opt_in(self._session, region)
        return "enabled" if is_on else "optional"

    def entered(self) -> None:
        """One more place of the account is read."""
        with self._lock:
            self._places += 1

    def left(self) -> None:
        """A place of the account is done with. With the last one the answers go."""
        with self._lock:
            self._places -= 1
            is_over = self._places == 0
        if is_over:
            self.reads.clear()
            _give_back()

    def _ask(self) -> Caller:
        try:
            answer = self._identity(self.home)
        except Unauthenticated as error:
            if code(error) not in UNKNOWN_CREDENTIALS or not _is_opt_in(self._session, self.home):
                raise
            first = first_region(self._session, self.home)
            answer = self._identity(first)
            self.home = first  # the account has not opted in to the other, which is to cost that region only
        caller = Caller(answer["Account"], answer["Arn"])
        expected = self.settings.account
        if expected and caller.account != expected:
            message = f"the credentials are those of account {caller.account}, not of {expected}"
            raise Unauthenticated(message, operation="sts:GetCallerIdentity")
        return caller

    def _identity(self, region: str) -> dict[str, str]:
        with translation("sts:GetCallerIdentity", None), closing(self.client("sts", region)) as sts:
            answer: dict[str, str] = sts.get_caller_identity()
        return answer

    def client(self, service: str, region: str) -> Any:
        """A new client of a service in a region."""
        return self._sessions.client(self._session, service, region)

    def is_offered(self, service: str, region: str) -> bool:
        """Whether AWS lists a service in a region; True also of services that it lists by no region."""
        return self._sessions.is_offered(self._session, service, region)

    def paginator(self, service: str, operation: str) -> Any:
        """How botocore pages through an operation."""
        return self._sessions.paginator(self._session, service, operation)


class AssumedRole:
    """What botocore asks for a session's credentials: those of a role, fetched when first needed, and renewed."""

    def __init__(self, sessions: Sessions, ambient: Session, account: AccountSettings, region: str) -> None:
        self._client = partial(sessions.client, ambient, "sts")
        self._regions = tuple(dict.fromkeys((region, first_region(ambient, region))))
        self._request = {
            "RoleArn": account.role_arn,
            "RoleSessionName": ROLE_SESSION_NAME,
            "DurationSeconds": ROLE_SESSION_SECONDS,
        }
        if account.external_id:
            self._request["ExternalId"] = account.external_id

    def load_credentials(self) -> Any:
        from botocore.credentials import DeferredRefreshableCredentials

        return DeferredRefreshableCredentials(self._assume, "assume-role")

    def _assume(self) -> dict[str, str]:
        from botocore.exceptions import ClientError

        try:
            issued = self._issued(self._regions[0])
        except ClientError as error:  # the account has switched STS off there, which it cannot in the first region
            if error.response["Error"]["Code"] not in REGION_OFF:
                raise
            issued = self._issued(self._regions[-1])
        return {
            "access_key": issued["AccessKeyId"],
            "secret_key": issued["SecretAccessKey"],
            "token": issued["SessionToken"],
            "expiry_time": issued["Expiration"].isoformat(),
        }

    def _issued(self, region: str) -> Any:
        with closing(self._client(region)) as sts:
            return sts.assume_role(**self._request)["Credentials"]


def first_region(session: Session, region: str) -> str:
    """The region that each account of a region's partition has."""
    return FIRST_REGIONS.get(session.core.get_partition_for_region(region), FIRST_REGIONS["aws"])


def _is_opt_in(session: Session, region: str) -> bool:
    """Whether an account may not have the region."""
    return region not in ALWAYS_ON and bool(session.core.get_partition_for_region(region) == "aws")


def _home(session: Session, account: AccountSettings, regions: tuple[str, ...] | None) -> str:
    """The region for what is global: one that is read anyway, or the configured one, within the role's partition.

    One that each account has goes before one that an account may not have opted in to.
    """
    named = (*(regions or ()), session.core.get_config_variable("region"))
    fit = [
        str(region)
        for region in named
        if region and account.partition in (None, session.core.get_partition_for_region(region))
    ]
    if fit:
        return min(fit, key=partial(_is_opt_in, session))
    return FIRST_REGIONS.get(account.partition or "aws", FIRST_REGIONS["aws"])


def _give_back() -> None:
    """Lets go of what an account leaves behind: in a run over a hundred of them it would pile up.

    A session and its clients are full of cycles, for which the garbage collector comes by too seldom by itself. And
    glibc keeps what was freed in the middle of its heap, in pieces that the next account's answers do not fit into.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL(None).malloc_trim(0)
