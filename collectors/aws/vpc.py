"""Amazon VPC: what may enter the network."""

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from collectors.aws.targets import Answer, Region
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


@evidence("ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups")
def security_group_ingress(region: Region) -> Iterator[SecurityGroup | Gap]:
    """Every security group's ingress rules, and the ports that it opens to every address."""
    groups = region.pages("ec2:DescribeSecurityGroups", "SecurityGroups", MaxResults=PAGE)
    look = partial(_security_group, region, _attached(region))
    yield from region.each(groups, look, resource=lambda group: str(group["GroupId"]))


def _attached(region: Region) -> frozenset[str]:
    interfaces = region.pages("ec2:DescribeNetworkInterfaces", "NetworkInterfaces", MaxResults=PAGE)
    return frozenset(group["GroupId"] for interface in interfaces for group in interface.get("Groups") or ())


def _security_group(region: Region, attached: frozenset[str], group: Answer) -> SecurityGroup:
    rules = tuple(rule for permission in group.get("IpPermissions") or () for rule in _rules(permission))
    owner, group_id = group["OwnerId"], group["GroupId"]
    arn = f"arn:{region.partition}:ec2:{region.region}:{owner}:security-group/{group_id}"
    opened = (_ports(rule) for rule in rules if {rule.cidr_v4, rule.cidr_v6} & ANYWHERE)
    return SecurityGroup(
        group=group_id,
        name=group["GroupName"],
        arn=arn,
        account=owner,
        region=region.region,
        vpc=group.get("VpcId"),
        tags={tag["Key"]: tag.get("Value", "") for tag in group.get("Tags") or ()},
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
