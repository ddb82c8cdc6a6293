"""What can be seen of an Okta org."""

from collectors.contract import Source
from collectors.okta.settings import Settings
from collectors.okta.targets import connect, grants

SOURCE = Source(Settings, connect, grants)
