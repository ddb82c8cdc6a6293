"""Other programs that look at an AWS account: the command lines by which they look at what our evidence rests on.

They are not installed with the benchmarks; each is found on the PATH, and best has an environment of its own.
"""

import json
from collections.abc import Callable
from pathlib import Path

from tests.fakes.aws import REGIONS

_SERVICES = ("accessanalyzer", "backup", "cloudtrail", "config", "ec2", "guardduty", "iam", "kms", "rds", "s3", "vpc")
_RESOURCES = (
    *("account", "iam-user", "iam-role", "iam-policy", "iam-group", "s3", "ec2", "security-group", "vpc", "flow-log"),
    *("ebs", "ebs-snapshot", "ami", "kms-key", "cloudtrail", "rds", "rds-snapshot", "subnet", "config-rule"),
)


def prowler(home: Path) -> list[str | Path]:
    """All its checks of these services, one file of findings."""
    quiet = ("--no-banner", "--no-color", "--ignore-exit-code-3", "--output-formats", "csv")
    return ["prowler", "aws", "--region", *REGIONS, "--service", *_SERVICES, *quiet, "--output-directory", home]


def custodian(home: Path) -> list[str | Path]:
    """One policy for each kind of resource, without filters: all of them, written down."""
    policies = [{"name": f"all-{resource}", "resource": f"aws.{resource}"} for resource in _RESOURCES]
    (home / "policies.json").write_text(json.dumps({"policies": policies}), encoding="utf-8")
    regions = [part for region in REGIONS for part in ("--region", region)]
    return ["custodian", "run", "--cache-period", "0", *regions, "--output-dir", home, home / "policies.json"]


PEERS: dict[str, Callable[[Path], list[str | Path]]] = {"prowler": prowler, "custodian": custodian}
