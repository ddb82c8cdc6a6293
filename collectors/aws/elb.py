"""Elastic Load Balancing: application, network and gateway load balancers, how they encrypt, and what they log."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence

PAGE = 400


class Listener(Record):
    """One port that a load balancer listens on."""

    arn: str = Field(description="The listener's ARN.")
    protocol: str | None = Field(description="`HTTP`, `HTTPS`, `TLS`, `TCP` or another; null where AWS does not say.")
    port: int | None = Field(description="The port; null of a gateway load balancer, which takes all.")
    ssl_policy: str | None = Field(description="The policy that chooses TLS versions and ciphers; null without TLS.")
    certificates: tuple[str, ...] = Field(description="The ARNs of its default certificates.")
    actions: tuple[str, ...] = Field(description="What it does by default, as in `forward` or `redirect`, in order.")
    redirects_to_https: bool = Field(description="Whether what it does by default is to redirect to HTTPS.")


class LoadBalancer(Record):
    """One load balancer: who reaches it, how its listeners encrypt, and what it logs."""

    name: str = Field(description="The load balancer's name.")
    arn: str = Field(description="The load balancer's ARN.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    type: str = Field(description="`application`, `network` or `gateway`.")
    scheme: str | None = Field(description="`internet-facing` or `internal`; null of a gateway load balancer.")
    vpc: str | None = Field(description="The VPC's id; null where AWS does not say.")
    security_groups: tuple[str, ...] = Field(description="The ids of its security groups.")
    created_at: Instant = Field(description="When it was made.")
    listeners: tuple[Listener, ...] = Field(description="What it listens on.")
    access_logs: bool | None = Field(description="Whether access logs are written; null of a type that has none.")
    access_logs_bucket: str | None = Field(description="The bucket that access logs go to; null where none is named.")
    deletion_protection: bool | None = Field(
        description="Whether it is protected from being deleted; null where AWS does not say."
    )
    drop_invalid_headers: bool | None = Field(
        description="Whether HTTP headers that are not valid are dropped; null of a type that reads no HTTP."
    )
    desync_mitigation: str | None = Field(
        description="How it meets request smuggling, as in `defensive`; null of a type that reads no HTTP."
    )


@evidence(
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elasticloadbalancing:DescribeLoadBalancers",
)
def load_balancers(region: Region) -> Iterator[LoadBalancer | Gap]:
    """Every application, network and gateway load balancer: its listeners' encryption, and its access logs."""
    found = region.pages("elbv2:DescribeLoadBalancers", "LoadBalancers", PageSize=PAGE)
    yield from region.each(found, partial(_load_balancer, region), resource=lambda its: str(its["LoadBalancerArn"]))


def _load_balancer(region: Region, found: Answer) -> LoadBalancer:
    arn = found["LoadBalancerArn"]
    listeners = region.pages("elbv2:DescribeListeners", "Listeners", LoadBalancerArn=arn, PageSize=PAGE)
    return LoadBalancer(
        name=found["LoadBalancerName"],
        arn=arn,
        account=region.account,
        region=region.region,
        type=found["Type"],
        scheme=found.get("Scheme"),
        vpc=found.get("VpcId"),
        security_groups=tuple(found.get("SecurityGroups") or ()),
        created_at=found["CreatedTime"],
        listeners=tuple(_listener(listener) for listener in listeners),
        **_attributes(region, arn),
    )


def _attributes(region: Region, arn: str) -> dict[str, Any]:
    answer = region.read("elbv2:DescribeLoadBalancerAttributes", LoadBalancerArn=arn)
    values = {attribute["Key"]: attribute.get("Value") for attribute in answer["Attributes"]}
    return {
        "access_logs": _flag(values.get("access_logs.s3.enabled")),
        "access_logs_bucket": values.get("access_logs.s3.bucket") or None,
        "deletion_protection": _flag(values.get("deletion_protection.enabled")),
        "drop_invalid_headers": _flag(values.get("routing.http.drop_invalid_header_fields.enabled")),
        "desync_mitigation": values.get("routing.http.desync_mitigation_mode"),
    }


def _flag(value: str | None) -> bool | None:
    return None if value is None else value == "true"


def _listener(listener: Answer) -> Listener:
    actions = sorted(listener.get("DefaultActions") or (), key=lambda action: int(action.get("Order", 0)))
    redirects = (action.get("RedirectConfig", {}) for action in actions)
    return Listener(
        arn=listener["ListenerArn"],
        protocol=listener.get("Protocol"),
        port=listener.get("Port"),
        ssl_policy=listener.get("SslPolicy"),
        certificates=tuple(each["CertificateArn"] for each in listener.get("Certificates") or ()),
        actions=tuple(action["Type"] for action in actions),
        redirects_to_https=any(redirect.get("Protocol") == "HTTPS" for redirect in redirects),
    )
