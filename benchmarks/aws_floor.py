"""The floor of reading AWS: a plain boto3 loop that asks for what all of our evidence rests on, and nothing twice.

    python -m benchmarks.aws_floor http://127.0.0.1:5000 --threads 32 [--role arn:aws:iam::123456789013:role/NAME ...]

One client a service and region, one pool of threads, botocore's adaptive retries. What it is told it throws away, and
so it does with errors. It knows what there is in `benchmarks.fleet`: of all else it asks for the listing only.
"""

import argparse
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader

from collectors.aws.privileged_events import GLOBAL_EVENTS, REGIONAL_EVENTS
from tests.fakes.aws import REGIONS

FIRST = "us-east-1"
GLOBAL = """
account get_contact_information · cloudfront list_distributions · iam get_account_authorization_details
iam get_account_password_policy · iam get_account_summary · iam list_virtual_mfa_devices
organizations describe_organization · sts get_caller_identity
"""
REGIONAL = """
accessanalyzer list_analyzers · acm list_certificates · backup list_backup_plans · backup list_backup_vaults
backup list_protected_resources · backup list_restore_jobs · cloudtrail describe_trails · cloudwatch describe_alarms
config describe_compliance_by_config_rule · config describe_config_rules · config describe_configuration_recorders
dynamodb list_tables · ec2 describe_flow_logs · ec2 describe_network_acls
ec2 describe_network_interfaces · ec2 describe_route_tables · ec2 describe_security_groups · ec2 describe_subnets
ec2 describe_volumes · ec2 describe_vpc_peering_connections · ec2 describe_vpcs · ec2 get_ebs_encryption_by_default
ec2 get_instance_metadata_defaults · ec2 get_snapshot_block_public_access_state · ecr describe_repositories
efs describe_file_systems · eks list_clusters · elbv2 describe_load_balancers · guardduty list_detectors
inspector2 batch_get_account_status · lambda list_functions · logs describe_log_groups · logs describe_metric_filters
macie2 get_macie_session · rds describe_db_cluster_snapshots · rds describe_db_clusters · rds describe_db_instances
rds describe_db_snapshots · resourcegroupstaggingapi get_resources · secretsmanager list_secrets
securityhub describe_hub · sns list_topics · sqs list_queues · ssm describe_instance_information
sso-admin list_instances
"""
PER_BUCKET = (
    "get_bucket_acl",
    "get_bucket_encryption",
    "get_bucket_lifecycle_configuration",
    "get_bucket_location",
    "get_bucket_logging",
    "get_bucket_policy",
    "get_bucket_policy_status",
    "get_bucket_replication",
    "get_bucket_versioning",
    "get_object_lock_configuration",
    "get_public_access_block",
)
PER_KEY = ("describe_key", "get_key_policy", "get_key_rotation_status")


class Call(NamedTuple):
    service: str
    operation: str
    region: str = FIRST
    parameters: dict[str, Any] = {}  # noqa: RUF012 - never written to


class Floor:
    """One account, read through a pool."""

    def __init__(self, session: Any, endpoint: str, pool: ThreadPoolExecutor, threads: int) -> None:
        self._session = session
        self._how = {
            "endpoint_url": endpoint,
            "config": Config(
                max_pool_connections=max(threads, 10),
                retries={"mode": "adaptive", "total_max_attempts": 10},
                s3={"addressing_style": "path"},
                inject_host_prefix=False,
            ),
        }
        self._pool = pool
        self._clients: dict[tuple[str, str], Any] = {}
        self._access_keys: list[Call] = []

    def read(self) -> None:
        """All there is: the listings, then what is listed."""
        self._answer(Call("iam", "generate_credential_report"))
        self._all([*_listings(), *(lookup for region in REGIONS for lookup in _lookups(region))])
        self._all([*self._buckets(), *self._users(), *self._regional()])
        self._all(self._access_keys)

    def _buckets(self) -> Iterator[Call]:
        found = self._answer(Call("s3", "list_buckets", REGIONS[0], {"MaxBuckets": 1000}))["Buckets"]
        for bucket in found:
            yield from (Call("s3", operation, REGIONS[0], {"Bucket": bucket["Name"]}) for operation in PER_BUCKET)

    def _users(self) -> Iterator[Call]:
        report = self._answer(Call("iam", "get_credential_report"))["Content"].decode()
        for row in report.splitlines()[2:]:
            yield Call("iam", "list_access_keys", FIRST, {"UserName": row.partition(",")[0]})

    def _regional(self) -> Iterator[Call]:
        for region in REGIONS:
            yield from self._keys(region)
            yield from self._patches(region)

    def _patches(self, region: str) -> Iterator[Call]:
        found = self._answer(Call("ec2", "describe_instances", region))["Reservations"]
        names = [instance["InstanceId"] for reservation in found for instance in reservation["Instances"]]
        for start in range(0, len(names), 50):
            yield Call("ssm", "describe_instance_patch_states", region, {"InstanceIds": names[start : start + 50]})

    def _keys(self, region: str) -> Iterator[Call]:
        for key in self._answer(Call("kms", "list_keys", region))["Keys"]:
            yield from (Call("kms", operation, region, {"KeyId": key["KeyId"]}) for operation in PER_KEY)

    def _all(self, calls: Iterable[Call]) -> None:
        """The clients beforehand: making them is not safe over threads."""
        calls = list(calls)
        for call in calls:
            self._client(call)
        for answer in self._pool.map(self._answer, calls):
            for key in answer.get("AccessKeyMetadata", ()):
                self._access_keys.append(
                    Call("iam", "get_access_key_last_used", FIRST, {"AccessKeyId": key["AccessKeyId"]})
                )

    def _answer(self, call: Call) -> dict[str, Any]:
        read = getattr(self._client(call), call.operation)
        try:
            answer: dict[str, Any] = read(**call.parameters)
        except (ClientError, BotoCoreError):
            return {}
        return answer

    def _client(self, call: Call) -> Any:
        where = call.service, call.region
        if where not in self._clients:
            self._clients[where] = self._session.client(*where, **self._how)
        return self._clients[where]


def _listings() -> Iterator[Call]:
    for named in GLOBAL.replace("\n", "·").split("·"):
        if named.strip():
            yield Call(*named.split())
    for kind in ("BILLING", "OPERATIONS", "SECURITY"):
        yield Call("account", "get_alternate_contact", FIRST, {"AlternateContactType": kind})
    yield Call("wafv2", "list_web_acls", FIRST, {"Scope": "CLOUDFRONT"})
    for region in REGIONS:
        for named in REGIONAL.replace("\n", "·").split("·"):
            if named.strip():
                service, operation = named.split()
                yield Call(service, operation, region)
        yield Call("ec2", "describe_snapshots", region, {"OwnerIds": ["self"]})
        yield Call("wafv2", "list_web_acls", region, {"Scope": "REGIONAL"})


def _lookups(region: str) -> Iterator[Call]:
    names = [name for _, name in REGIONAL_EVENTS] + (list(GLOBAL_EVENTS) if region == FIRST else [])
    now = datetime.now(UTC)
    for name in names:
        named = {"AttributeKey": "EventName", "AttributeValue": name}
        asked = {"LookupAttributes": [named], "StartTime": now - timedelta(days=30), "EndTime": now}
        yield Call("cloudtrail", "lookup_events", region, asked)


def sessions(roles: Iterable[str], endpoint: str) -> Iterator[Any]:
    """The credentials' own account, then one a role; all share the parsed models."""
    loader = create_loader()
    ambient = _session(loader)
    yield ambient
    sts = ambient.client("sts", REGIONS[0], endpoint_url=endpoint)
    for role in roles:
        issued = sts.assume_role(RoleArn=role, RoleSessionName="floor")["Credentials"]
        yield _session(loader, issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def _session(loader: Any, *credentials: str) -> Any:
    core = botocore.session.Session()
    core.register_component("data_loader", loader)
    if credentials:
        core.set_credentials(*credentials)
    return boto3.Session(botocore_session=core)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--role", action="append", default=[], help="of a further account")
    told = parser.parse_args()
    with ThreadPoolExecutor(told.threads) as pool:
        for session in sessions(told.role, told.endpoint):
            Floor(session, told.endpoint, pool, told.threads).read()


if __name__ == "__main__":
    main()
