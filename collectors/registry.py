"""Which sources and evidence types there are, found by entry points of the group `chequr_agent.collectors`.

An entry point names a package. The package holds `SOURCE`, and its modules hold the evidence types; nothing else
registers one. Names are read without importing anything; a source's modules are imported when it is asked for, and
its SDK only when one of its targets reads.
"""

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from collectors.contract import EvidenceType, Source

GROUP = "chequr_agent.collectors"


class UnknownSource(LookupError):
    """No installed package offers a source of this name."""


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def source_names() -> list[str]:
    """The names of all installed sources, sorted. Imports none of them."""
    return sorted(_entry_points())


@cache
def source(name: str) -> Source:
    """The source of this name. Raises UnknownSource."""
    package = importlib.import_module(_package(name))
    found: Source = package.SOURCE
    return found


@cache
def evidence_types(name: str) -> tuple[EvidenceType[Any], ...]:
    """All evidence types of a source, sorted by id. Raises UnknownSource."""
    package = importlib.import_module(_package(name))
    modules = [
        importlib.import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    ]
    found = {
        value.id: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, EvidenceType) and value.observe.__module__ == module.__name__
    }
    return tuple(found[type_id] for type_id in sorted(found))


def all_evidence_types() -> tuple[EvidenceType[Any], ...]:
    """The whole catalogue, by source and id."""
    return tuple(kind for name in source_names() for kind in evidence_types(name))


def _package(name: str) -> str:
    try:
        return _entry_points()[name].value
    except KeyError:
        raise UnknownSource(name) from None
