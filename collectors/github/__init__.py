"""GitHub: organizations on github.com, ghe.com and GitHub Enterprise Server.

One target is one organization. It is read through PyGithub's requester as raw JSON, by REST `GET` and GraphQL `query`
only; nothing is ever written. PyGithub is imported when the first answer is wanted, not before.
"""

from collectors.contract import Source
from collectors.github.grants import grants
from collectors.github.settings import Settings
from collectors.github.targets import connect

SOURCE = Source(Settings, connect, grants)
