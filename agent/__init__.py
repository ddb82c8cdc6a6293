"""When to collect, what to keep, how to deliver."""

from importlib.metadata import version

__version__ = version("chequr-agent")
