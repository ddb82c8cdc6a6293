"""Entering AWS: which places there are."""

from collections.abc import Callable, Iterator
from typing import Any

from collectors.aws.access import Access
from collectors.aws.session import Sessions, untouched
from collectors.aws.settings import AccountSettings, Settings
from collectors.aws.targets import Account, Region
from collectors.contract import Run, Target, Unreachable
from collectors.errors import CollectionError

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
        for account in self._settings.accounts:
            try:
                entered = Account(self._run, Access(self._sessions, account, self._settings.regions))
            except CollectionError as error:
                yield from _closed(account, error)
            else:
                regions = list(self._regions(entered))  # before the account is handed out, and perhaps closed
                yield entered
                yield from regions

    def _regions(self, account: Account) -> Places:
        try:
            regions = account.regions()
        except CollectionError as error:
            yield Unreachable(Region, account.id, account.description, error)
        else:
            for region in regions:
                yield Region(self._run, account.access, region)


def _closed(account: AccountSettings, error: CollectionError) -> Places:
    name = account.account or "ambient account"
    for kind in (Account, Region):
        yield Unreachable(kind, name, {"account": account.account}, error)
