"""Somebody else's source, on nothing but the contract: buildings, their doors, and trouble on demand."""

from acme.targets import AcmeSettings, connect
from collectors.contract import Source

SOURCE = Source(settings=AcmeSettings, connect=connect, grants=lambda types: {"types": [kind.id for kind in types]})
