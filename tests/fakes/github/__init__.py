"""A small GitHub on loopback: one organization by REST and GraphQL, with limits, permissions and faults on demand.

    with GitHub(repositories=120) as github:
        github.denied.add("administration")
        github.faults.append(Fault("DefaultBranches", status=502, when=lambda asked: asked["first"] > 10))
        ...  # read github.url with github.token

    server ──► REST     routes ──► one file a noun: repositories, people, deployments, alerts, …
           └─► GraphQL  graph, executed by graphql-core on the part of GitHub's own schema that is beside this folder

What there is follows from the number of a repository, and is made when it is asked for: the same organization each
time, of any size. `python -m tests.fakes.github --port 8082` serves one until it is stopped.
"""

from tests.fakes.github.answers import Answer, Fault
from tests.fakes.github.graph import schema
from tests.fakes.github.server import GitHub

__all__ = ["Answer", "Fault", "GitHub", "schema"]
