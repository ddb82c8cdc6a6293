"""AWS: accounts and their regions, read through boto3."""

from collectors.aws.connection import connect
from collectors.aws.grants import grants
from collectors.aws.settings import Settings
from collectors.contract import Source

SOURCE = Source(settings=Settings, connect=connect, grants=grants)
