"""A folder with one subfolder per control id: any file in it is evidence of that control."""

from collectors.contract import Source
from collectors.manual.targets import FolderSettings, connect, grants

SOURCE = Source(settings=FolderSettings, connect=connect, grants=grants)
