"""Proof of arrival: whether what the ledger has is at the API, as its audit log and its controls show it.

    the ledger, up to its head at the start ─┐
    GET /audit-log, page by page ────────────┼──► Collation ──► judge ──► findings
    GET /controls/:id, each of the entries' ─┘

What is accepted meanwhile stands behind the head, and is the next verification's.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from agent.arrival import Case, Finding, Kind, Stranger, Verification, is_untold, judge, unknown
from agent.client import Client
from agent.collation import Collation
from agent.errors import NotFound
from agent.evidence import stamp
from agent.ledger import Ledger
from agent.lock import lock
from agent.models import EvidenceItem
from agent.outbox import Outbox
from agent.repair import Repair
from agent.store import Store
from agent.verified import Verified

_PAGE = 250  # entries of the audit log in one answer
_EARLIER = timedelta(minutes=5)  # that the log is read from before `since`: its times are not to the second a receipt's
_BATCH = 500  # entries of the log, or pieces of evidence, that are looked at together
_TOLD = 1000  # findings that are told one by one


class Proof:
    """One verification of a state directory.

    `since` is by the API's clock. `is_shared`: others use the same key, so what the ledger does not know may be theirs.
    With `remembered` what is missing is sent again: then the API knows keys that it took after that instant, in seconds
    since the epoch.
    """

    def __init__(
        self, store: Store, client: Client, since: datetime, *, is_shared: bool, remembered: float | None = None
    ) -> None:
        self._store = store
        self._ledger, self._outbox = Ledger(store), Outbox(store)
        self._client = client
        self._since = since.replace(microsecond=0)
        self._is_shared = is_shared
        self._remembered = remembered
        self._repair = Repair(store)
        self._entries: Counter[str] = Counter()
        self._found: Counter[Kind] = Counter()
        self._differences = 0

    def verify(self) -> tuple[Verification, list[Finding]]:
        """What it came to, which is kept for `status`, and the first thousand findings.

        Raises Locked where another one is under way, and ChequrError.
        """
        findings: list[Finding] = []
        directory, begun = self._store.directory, time.time()
        with lock(directory, "verify"), Collation(directory) as collation:
            self._gather(collation)
            for finding in self._findings(collation):
                self._found[finding.kind] += 1
                self._differences += finding.level == "difference"
                if len(findings) < _TOLD:
                    findings.append(finding)
            verification = self._verification()
            Verified.load(directory).after(verification, begun=begun).save(directory)
        return verification, findings

    def _verification(self) -> Verification:
        return Verification(
            verified_at=time.time(),
            since=self._since,
            compared=self._entries["compared"],
            there=self._entries["compared"] - self._found["missing"],
            resent=self._entries["resent"],
            untold=self._entries["untold"],
            differences=self._differences,
            notes=self._found.total() - self._differences,
            findings=dict(self._found),
        )

    # ── what both sides have ──

    def _gather(self, collation: Collation) -> None:
        number, _ = self._ledger.head() or (0, "")
        collation.add_entries(self._ledger.received(stamp(self._since), until=number))
        if collation.is_empty():
            return
        log = self._client.audit_log(self._since - _EARLIER, limit=_PAGE)
        while batch := list(islice(log, _BATCH)):
            collation.add_logged(batch)
        for control_id in collation.controls():
            collation.add_shown(control_id, self._shown(control_id))
        if collation.lacks():
            # In this order: what is accepted meanwhile is in one of them.
            collation.add_owed(self._outbox.keys())
            collation.add_owed(entry.key for entry in self._ledger.entries(after=number))

    def _shown(self, control_id: str) -> tuple[EvidenceItem, ...] | None:
        try:
            return self._client.control(control_id).evidence
        except NotFound as error:
            if error.code:  # in the API's own words
                return None
            raise

    # ── what they come to ──

    def _findings(self, collation: Collation) -> Iterator[Finding]:
        for case in collation.cases():
            self._entries["resent" if case.is_superseded else "untold" if is_untold(case) else "compared"] += 1
            for finding in judge(case):
                yield self._mended(case, finding) if finding.kind == "missing" else finding
        yield from self._strangers(collation)

    def _mended(self, case: Case, finding: Finding) -> Finding:
        if self._remembered is None or case.is_owed:
            return finding
        if case.is_echoed and case.accepted_at > self._remembered:
            return replace(finding, remedy=f"Not yet sent again: the API still knows its key. {finding.remedy}")
        return replace(finding, remedy=self._repair.mend(case.seq, now=time.time()))

    def _strangers(self, collation: Collation) -> Iterator[Finding]:
        """Items in doubt may be those; where there are more of them than such items, some certainly are not."""
        doubtful = self._outbox.doubtful()
        few = list(islice(self._unknown(collation), doubtful + 1))
        if few and len(few) <= doubtful:
            yield from (unknown(stranger, doubtful=doubtful, is_shared=self._is_shared) for stranger in few)
        elif few:
            strangers = self._unknown(collation)
            yield from (unknown(stranger, doubtful=0, is_shared=self._is_shared) for stranger in strangers)

    def _unknown(self, collation: Collation) -> Iterator[Stranger]:
        """What was logged since the ledger begins, and has no receipt to this day."""
        beginning = max(self._ledger.beginning() or "", stamp(self._since))
        strangers = collation.strangers(after=beginning)
        while batch := list(islice(strangers, _BATCH)):
            known = self._ledger.known([each.evidence_id for each in batch])
            yield from (each for each in batch if each.evidence_id not in known)
