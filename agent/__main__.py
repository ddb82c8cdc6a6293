"""`python -m agent` is `chequr-agent`."""

from agent.cli import main

main()
