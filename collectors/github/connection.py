"""PyGithub's requester with the defaults that a daemon needs: inside it nothing is retried, followed or slept on."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from github.Auth import Auth
    from github.Requester import Requester

TIMEOUT = 30
PER_PAGE = 100
# Answers on which PyGithub would act by itself: it asks again without end after a 202, and follows a 301 without the
# query, so that a filtered list would come back unfiltered.
NOT_FOLLOWED = (202, 301, 302, 307, 308)


def connect(base_url: str, auth: "Auth") -> "Requester":
    """A requester of one thread's own, bound to the host of `base_url`."""
    from github import Github
    from github.GithubRetry import GithubRetry

    # Its debug lines carry whole answers, that with an installation token among them.
    logging.getLogger("github.Requester").disabled = True
    retry = GithubRetry(total=0, read=False)
    retry.status_forcelist = list(NOT_FOLLOWED)  # without 403: its headers are needed to tell what it means
    client = Github(
        auth=auth,
        base_url=base_url,
        timeout=TIMEOUT,
        per_page=PER_PAGE,
        retry=retry,
        lazy=True,
        user_agent="chequr-agent",
        seconds_between_requests=0,
        seconds_between_writes=0,
    )
    return client.requester
