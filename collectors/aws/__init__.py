"""AWS: accounts and their regions, read through boto3."""

from collectors.aws.connection import connect
from collectors.aws.grants import grants
from collectors.aws.permissions import ENTERING
from collectors.aws.rollout import cloudformation, terraform
from collectors.aws.settings import Settings
from collectors.contract import Source

FORMATS = {"cloudformation": cloudformation, "terraform": terraform}
SOURCE = Source(settings=Settings, connect=connect, grants=grants, formats=FORMATS, entering=ENTERING)
