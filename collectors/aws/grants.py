"""What an administrator pastes: the least IAM policy of some evidence types."""

from collections.abc import Mapping, Sequence
from typing import Any

from collectors.aws.permissions import DISCOVERY
from collectors.aws.targets import Region
from collectors.contract import EvidenceType


def grants(types: Sequence[EvidenceType[Any]]) -> Mapping[str, Any]:
    """An IAM policy document that allows what `types` call, and nothing else.

    Types that run in regions need these discovered. Assuming a role is granted to the caller, by the role's trust.
    """
    actions = {permission for kind in types for permission in kind.permissions}
    if any(issubclass(kind.target, Region) for kind in types):
        actions.add(DISCOVERY)
    statement = {"Sid": "ChequrAgentReads", "Effect": "Allow", "Action": sorted(actions), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement] if actions else []}
