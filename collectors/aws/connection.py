"""Entering AWS: which places there are."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import Any

from collectors.aws.access import Access
from collectors.aws.members import members
from collectors.aws.session import Sessions, untouched
from collectors.aws.settings import AccountSettings, Settings
from collectors.aws.targets import Account, Region
from collectors.contract import Reads, Run, Target, Unreachable
from collectors.errors import CollectionError

_AHEAD = 2  # accounts that are entered while others are read

Places = Iterator[Target | Unreachable]


def connect(settings: Settings, run: Run) -> Places:
    """Each account, followed by its regions. What cannot be entered is said, and never ends the rest."""
    return Connection(settings, run).places()


class Connection:
    """All accounts of one collector over one loader. `prepare` is given each botocore session before it is used."""

    def __init__(self, settings: Settings, run: Run, prepare: Callable[[Any], None] = untouched) -> None:
        self._settings = settings
        self._run = run
        self._sessions = Sessions(settings, run.workers, prepare)

    def places(self) -> Places:
        """Some accounts are entered ahead of those that are read. Raises CollectionError."""
        ahead: deque[Future[list[Target | Unreachable]]] = deque()
        for account in self._accounts():
            if self._run.pool is None:
                yield from self._enter(account)
                continue
            ahead.append(self._run.pool.submit(self._enter, account))
            if len(ahead) > _AHEAD:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()

    def _accounts(self) -> Iterator[AccountSettings | Unreachable]:
        if not self._settings.is_organization:
            yield from self._settings.accounts
            return
        with closing(Account(self._run, self._access(AccountSettings()))) as ambient:
            yield from list(members(ambient, self._settings.organization))

    def _access(self, account: AccountSettings) -> Access:
        return Access(self._sessions, account, self._settings.regions, Reads(self._run.remembered))

    def _enter(self, account: AccountSettings | Unreachable) -> list[Target | Unreachable]:
        """An account and its regions, or why it is closed."""
        if isinstance(account, Unreachable):
            return [account, Unreachable(Region, account.id, account.description, account.cause)]
        try:
            entered = Account(self._run, self._access(account))
        except CollectionError as error:
            return _closed(account, error)
        return [entered, *self._regions(entered)]

    def _regions(self, account: Account) -> Places:
        try:
            regions = account.regions()
        except CollectionError as error:
            yield Unreachable(Region, account.id, account.description, error)
        else:
            for region in regions:
                yield Region(self._run, account.access, region)


def _closed(account: AccountSettings, error: CollectionError) -> list[Target | Unreachable]:
    name = account.account or "ambient account"
    return [Unreachable(kind, name, {"account": account.account}, error) for kind in (Account, Region)]
