"""Amazon VPC: what may enter the network, and whether its traffic is logged."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region, tags
from collectors.contract import Gap, Record, evidence

PAGE = 1000
ANYWHERE = frozenset({"0.0.0.0/0", "::/0"})
EVERY_PROTOCOL = "-1"


class IngressRule(Record):
    """Who may enter on which ports; of the four kinds of source, one is given."""

    protocol: str = Field(description="`tcp`, `udp`, `icmp`, `icmpv6`, a protocol number, or `all`.")
    from_port: int | None = Field(description="The first port, or the ICMP type; null where all are meant.")
    to_port: int | None = Field(description="The last port, or the ICMP code; null where all are meant.")
    cidr_v4: str | None = Field(description="IPv4 addresses.")
    cidr_v6: str | None = Field(description="IPv6 addresses.")
    prefix_list: str | None = Field(description="A prefix list's id.")
    security_group: str | None = Field(description="The id of a group whose members may enter.")


class SecurityGroup(Record):
    """One security group's ingress rules, and whether anything uses the group."""

    group: str = Field(description="The group's id.")
    name: str = Field(description="The group's name.")
    arn: str = Field(description="The group's ARN.")
    account: str = Field(description="The account that owns the group.")
    region: str = Field(description="The region that the group is in.")
    vpc: str | None = Field(description="The VPC's id.")
    tags: dict[str, str] = Field(description="The group's tags.")
    is_default: bool = Field(description="Whether it is its VPC's default group.")
    attached: bool = Field(description="Whether a network interface of this account uses it.")
    open_ports: tuple[str, ...] = Field(
        description="What every address may reach, as in `tcp/22`, `tcp/8000-8100`, `icmp` or `all`."
    )
    ingress: tuple[IngressRule, ...] = Field(description="All ingress rules, one a source.")


class FlowLog(Record):
    """One flow log of a whole VPC: what it records, and where that goes."""

    flow_log: str = Field(description="The flow log's id.")
    status: str = Field(description="Its status, `ACTIVE` where it records.")
    traffic_type: str | None = Field(description="`ACCEPT`, `REJECT` or `ALL`; null where AWS does not say.")
    destination_type: str | None = Field(
        description="`cloud-watch-logs`, `s3` or `kinesis-data-firehose`; null where AWS does not say."
    )
    destination: str | None = Field(
        description="The destination's ARN, or a log group's name where AWS tells only that; null without either."
    )
    delivery: str | None = Field(description="`SUCCESS` or `FAILED`; null where AWS does not say.")
    delivery_error: str | None = Field(
        description="Why delivery failed, as in `Access error`; null where AWS names nothing."
    )
    aggregation_seconds: int | None = Field(
        description="The longest time that one log record covers; null where AWS does not say."
    )
    created_at: Instant | None = Field(description="When the flow log was made; null where AWS does not say.")


class VpcFlowLogs(Record):
    """The flow logs of one VPC."""

    vpc: str = Field(description="The VPC's id.")
    arn: str = Field(description="The VPC's ARN.")
    account: str = Field(description="The account that owns the VPC.")
    region: str = Field(description="The region that the VPC is in.")
    tags: dict[str, str] = Field(description="The VPC's tags; none for a VPC of another account, as they do not show.")
    is_default: bool = Field(description="Whether it is the region's default VPC.")
    enabled: bool | None = Field(
        description="Whether a flow log of the whole VPC is active; null where another account owns the VPC, as its "
        "flow logs do not show then."
    )
    flow_logs: tuple[FlowLog, ...] = Field(
        description="The flow logs of the whole VPC; those of single subnets and network interfaces are not counted."
    )


@evidence("ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups")
def security_group_ingress(region: Region) -> Iterator[SecurityGroup | Gap]:
    """Every security group's ingress rules, and the ports that it opens to every address."""
    groups = region.pages("ec2:DescribeSecurityGroups", "SecurityGroups", MaxResults=PAGE)
    look = partial(_security_group, region, _attached(region))
    yield from region.each(groups, look, resource=lambda group: str(group["GroupId"]))


@evidence("ec2:DescribeFlowLogs", "ec2:DescribeVpcs")
def flow_logs(region: Region) -> Iterator[VpcFlowLogs | Gap]:
    """Every VPC's flow logs: whether its traffic is logged, which of it, and where to."""
    logs: dict[str, list[Answer]] = {}
    for log in region.pages("ec2:DescribeFlowLogs", "FlowLogs", MaxResults=PAGE):
        logs.setdefault(log["ResourceId"], []).append(log)
    vpcs = region.pages("ec2:DescribeVpcs", "Vpcs", MaxResults=PAGE)
    yield from region.each(vpcs, partial(_vpc, region, logs), resource=lambda vpc: str(vpc["VpcId"]))


def _attached(region: Region) -> frozenset[str]:
    interfaces = region.pages("ec2:DescribeNetworkInterfaces", "NetworkInterfaces", MaxResults=PAGE)
    return frozenset(group["GroupId"] for interface in interfaces for group in interface.get("Groups") or ())


def _security_group(region: Region, attached: frozenset[str], group: Answer) -> SecurityGroup:
    rules = tuple(rule for permission in group.get("IpPermissions") or () for rule in _rules(permission))
    owner, group_id = group["OwnerId"], group["GroupId"]
    arn = region.arn("ec2", f"security-group/{group_id}", owner=owner)
    opened = (_ports(rule) for rule in rules if {rule.cidr_v4, rule.cidr_v6} & ANYWHERE)
    return SecurityGroup(
        group=group_id,
        name=group["GroupName"],
        arn=arn,
        account=owner,
        region=region.region,
        vpc=group.get("VpcId"),
        tags=tags(group.get("Tags")),
        is_default=group["GroupName"] == "default",
        attached=group_id in attached,
        open_ports=tuple(dict.fromkeys(opened)),
        ingress=rules,
    )


def _rules(permission: Answer) -> Iterator[IngressRule]:
    sources = (
        ("cidr_v4", "IpRanges", "CidrIp"),
        ("cidr_v6", "Ipv6Ranges", "CidrIpv6"),
        ("prefix_list", "PrefixListIds", "PrefixListId"),
        ("security_group", "UserIdGroupPairs", "GroupId"),
    )
    nobody = dict.fromkeys(field for field, _key, _name in sources)
    protocol = "all" if permission["IpProtocol"] == EVERY_PROTOCOL else permission["IpProtocol"]
    ports = {"from_port": _port(permission.get("FromPort")), "to_port": _port(permission.get("ToPort"))}
    for field, key, name in sources:
        for source in permission.get(key) or ():
            yield IngressRule(protocol=protocol, **ports, **{**nobody, field: source.get(name)})


def _port(number: int | None) -> int | None:
    """AWS writes -1 for every ICMP type and code."""
    return None if number == -1 else number


def _ports(rule: IngressRule) -> str:
    if rule.from_port is None or not rule.protocol.startswith(("tcp", "udp")):
        return rule.protocol
    ports = str(rule.from_port) if rule.from_port == rule.to_port else f"{rule.from_port}-{rule.to_port}"
    return f"{rule.protocol}/{ports}"


def _vpc(region: Region, logs: Mapping[str, Sequence[Answer]], vpc: Answer) -> VpcFlowLogs:
    owner, vpc_id = vpc["OwnerId"], vpc["VpcId"]
    found = tuple(_flow_log(log) for log in logs.get(vpc_id, ()))
    return VpcFlowLogs(
        vpc=vpc_id,
        arn=region.arn("ec2", f"vpc/{vpc_id}", owner=owner),
        account=owner,
        region=region.region,
        tags=tags(vpc.get("Tags")),
        is_default=vpc["IsDefault"],
        enabled=any(log.status == "ACTIVE" for log in found) if owner == region.account else None,
        flow_logs=found,
    )


def _flow_log(log: Answer) -> FlowLog:
    return FlowLog(
        flow_log=log["FlowLogId"],
        status=log["FlowLogStatus"],
        traffic_type=log.get("TrafficType"),
        destination_type=log.get("LogDestinationType"),
        destination=log.get("LogDestination") or log.get("LogGroupName"),
        delivery=log.get("DeliverLogsStatus"),
        delivery_error=log.get("DeliverLogsErrorMessage"),
        aggregation_seconds=log.get("MaxAggregationInterval"),
        created_at=log.get("CreationTime"),
    )
