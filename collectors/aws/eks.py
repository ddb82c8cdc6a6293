"""Amazon Elastic Kubernetes Service: who reaches a cluster, what it logs, and how it encrypts."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence

PAGE = 100
EVERYWHERE: dict[str, Any] = {"include": ["all"]}  # connected clusters outside AWS as well


class Cluster(Record):
    """One cluster: its version, its endpoint, its logs, and its secrets' encryption."""

    name: str = Field(description="The cluster's name.")
    arn: str = Field(description="The cluster's ARN.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    tags: dict[str, str] = Field(description="The cluster's tags.")
    status: str = Field(description="`ACTIVE`, `UPDATING`, `FAILED` or another state.")
    created_at: Instant | None = Field(description="When it was made; null where AWS does not say.")
    version: str | None = Field(description="The version of Kubernetes; null where AWS does not say.")
    platform_version: str | None = Field(description="The platform's version, as in `eks.5`; null where there is none.")
    support: str | None = Field(
        description="What happens when standard support ends: `STANDARD` upgrades, `EXTENDED` stays; null if not said."
    )
    vpc: str | None = Field(description="The VPC's id; null of a connected cluster outside AWS.")
    public_endpoint: bool | None = Field(
        description="Whether the API server is reached from the internet; null of a connected cluster outside AWS."
    )
    private_endpoint: bool | None = Field(
        description="Whether the API server is reached from within the VPC; null of a connected cluster outside AWS."
    )
    public_cidrs: tuple[str, ...] = Field(description="The addresses that may reach the public endpoint.")
    logs: tuple[str, ...] = Field(description="The logs of the control plane that are written, as in `audit`.")
    audit_logs: bool | None = Field(
        description="Whether the audit log is among them; null of a connected cluster outside AWS."
    )
    secrets_encryption: bool | None = Field(
        description="Whether secrets are encrypted with a KMS key that was chosen for it; null of a connected cluster "
        "outside AWS."
    )
    kms_key_arn: str | None = Field(description="That key; null where there is none.")
    authentication: str | None = Field(
        description="How IAM principals get in, as in `API` or `CONFIG_MAP`; null where AWS does not say."
    )
    deletion_protection: bool | None = Field(
        description="Whether it is protected from being deleted; null where AWS does not say."
    )


@evidence("eks:DescribeCluster", "eks:ListClusters")
def clusters(region: Region) -> Iterator[Cluster | Gap]:
    """Every cluster: who reaches its API server, which logs it writes, and whether its secrets are encrypted.

    Clusters outside AWS are among them where they are connected; AWS knows little of them.
    """
    names = (str(name) for name in region.pages("eks:ListClusters", "clusters", **EVERYWHERE, maxResults=PAGE))
    yield from region.each(names, partial(_cluster, region), resource=str)


def _cluster(region: Region, name: str) -> Cluster:
    cluster = region.read("eks:DescribeCluster", name=name)["cluster"]
    outside = "connectorConfig" in cluster
    logs = _logs(cluster)
    key = _secrets_key(cluster)
    return Cluster(
        name=name,
        arn=cluster["arn"],
        account=region.account,
        region=region.region,
        tags=cluster.get("tags") or {},
        status=cluster["status"],
        created_at=cluster.get("createdAt"),
        version=cluster.get("version"),
        platform_version=cluster.get("platformVersion"),
        support=cluster.get("upgradePolicy", {}).get("supportType"),
        **_network(cluster),
        logs=logs,
        audit_logs=None if outside else "audit" in logs,
        secrets_encryption=None if outside else key is not None,
        kms_key_arn=key,
        authentication=cluster.get("accessConfig", {}).get("authenticationMode"),
        deletion_protection=cluster.get("deletionProtection"),
    )


def _network(cluster: Answer) -> dict[str, Any]:
    network = cluster.get("resourcesVpcConfig", {})
    return {
        "vpc": network.get("vpcId"),
        "public_endpoint": network.get("endpointPublicAccess"),
        "private_endpoint": network.get("endpointPrivateAccess"),
        "public_cidrs": tuple(network.get("publicAccessCidrs") or ()),
    }


def _logs(cluster: Answer) -> tuple[str, ...]:
    settings = cluster.get("logging", {}).get("clusterLogging") or ()
    return tuple(sorted(log for setting in settings if setting.get("enabled") for log in setting.get("types") or ()))


def _secrets_key(cluster: Answer) -> str | None:
    for encryption in cluster.get("encryptionConfig") or ():
        if "secrets" in encryption.get("resources", ()):
            key: str | None = encryption.get("provider", {}).get("keyArn")
            return key
    return None
