"""Amazon VPC: what subnets let in, whether they give out public addresses, and where peering leads."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import Field

from collectors.aws.listings import Listing, look_at
from collectors.aws.targets import Answer, Region, tags
from collectors.contract import Gap, Record, evidence

PAGE = {"MaxResults": 1000}
ACLS = Listing("network_acl", "ec2:DescribeNetworkAcls", "NetworkAcls", "NetworkAclId", PAGE)
SUBNETS = Listing("subnet", "ec2:DescribeSubnets", "Subnets", "SubnetId", PAGE)
PEERINGS = Listing(
    "vpc_peering_connection",
    "ec2:DescribeVpcPeeringConnections",
    "VpcPeeringConnections",
    "VpcPeeringConnectionId",
    PAGE,
)
ROUTE_TABLES_PAGE = 100
ANYWHERE = frozenset({"0.0.0.0/0", "::/0"})
EVERY_PROTOCOL = "-1"
PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", EVERY_PROTOCOL: "all"}
ADMINISTRATION = tuple((protocol, port) for port in (22, 3389) for protocol in ("tcp", "udp"))


class AclRule(Record):
    """One inbound rule of a network ACL."""

    number: int = Field(description="Its number; the lowest rule that fits decides.")
    action: str = Field(description="`allow` or `deny`.")
    protocol: str = Field(description="`tcp`, `udp`, `icmp`, `icmpv6`, a protocol number, or `all`.")
    from_port: int | None = Field(description="The first port; null where all are meant, and for ICMP.")
    to_port: int | None = Field(description="The last port; null where all are meant, and for ICMP.")
    cidr: str = Field(description="The addresses that it is about, IPv4 or IPv6.")


class NetworkAcl(Record):
    """What a network ACL lets into its subnets."""

    is_default: bool = Field(description="Whether it is its VPC's default ACL.")
    subnets: tuple[str, ...] = Field(description="The ids of the subnets that it guards.")
    open_admin_ports: tuple[str, ...] = Field(
        description="Which of the ports 22 and 3389 every IPv4 or every IPv6 address may reach, as in `tcp/22`; rules "
        "for some addresses only are not considered."
    )
    ingress: tuple[AclRule, ...] = Field(description="The inbound rules, in their order.")


class Subnet(Record):
    """Which addresses a subnet gives to what is started in it."""

    zone: str | None = Field(description="The availability zone; null where AWS does not say.")
    is_default: bool = Field(description="Whether it is its zone's default subnet.")
    auto_public_ip: bool = Field(description="Whether what is started in it gets a public IPv4 address by itself.")
    auto_ipv6: bool = Field(description="Whether what is started in it gets an IPv6 address by itself.")


class PeerVpc(Record):
    """One end of a peering connection."""

    vpc: str | None = Field(description="The VPC's id; null where AWS does not say.")
    account: str | None = Field(description="The account that owns the VPC; null where AWS does not say.")
    region: str | None = Field(description="The region of the VPC; null where AWS does not say.")


class PeeringRoute(Record):
    """One route over a peering connection."""

    route_table: str = Field(description="The id of the route table, which is one of this account and region.")
    destination: str = Field(description="The addresses that it leads to, or a prefix list's id.")


class Peering(Record):
    """A peering connection of two VPCs, and what is routed over it."""

    status: str = Field(description="Its status, as in `active`, `pending-acceptance` or `deleted`.")
    requester: PeerVpc = Field(description="The VPC that asked for it.")
    accepter: PeerVpc = Field(description="The VPC that was asked.")
    routes: tuple[PeeringRoute, ...] = Field(description="The routes over it, in this account's route tables.")


class NetworkBoundary(Record):
    """One network ACL, one subnet, or one peering connection."""

    kind: Literal["network_acl", "subnet", "vpc_peering_connection"] = Field(description="Which of the three it is.")
    id: str = Field(description="Its id.")
    arn: str = Field(description="Its ARN.")
    account: str = Field(description="The account that owns it; for a peering connection, the one that it is seen in.")
    region: str = Field(description="The region.")
    vpc: str | None = Field(description="The id of the VPC that it is in; null for a peering connection.")
    tags: dict[str, str] = Field(description="Its tags; none for what another account owns, as they do not show.")
    network_acl: NetworkAcl | None = Field(description="What the network ACL lets in; null for the other kinds.")
    subnet: Subnet | None = Field(description="Which addresses the subnet gives out; null for the other kinds.")
    peering: Peering | None = Field(description="Where the peering connection leads; null for the other kinds.")


@evidence(
    "ec2:DescribeNetworkAcls", "ec2:DescribeRouteTables", "ec2:DescribeSubnets", "ec2:DescribeVpcPeeringConnections"
)
def acls(region: Region) -> Iterator[NetworkBoundary | Gap]:
    """What every network ACL lets in, which subnets give out public addresses, and what is routed to peered VPCs."""
    yield from look_at(region, (ACLS,), _acl)
    yield from look_at(region, (SUBNETS,), _subnet)
    yield from look_at(region, (PEERINGS,), partial(_peering, _routes(region)))


def _acl(region: Region, listing: Listing, listed: Answer) -> NetworkBoundary:
    inbound = (entry for entry in listed.get("Entries") or () if not entry["Egress"])
    rules = tuple(sorted((_rule(entry) for entry in inbound), key=lambda rule: rule.number))
    acl = NetworkAcl(
        is_default=listed["IsDefault"],
        subnets=tuple(association["SubnetId"] for association in listed.get("Associations") or ()),
        open_admin_ports=tuple(
            f"{protocol}/{port}" for protocol, port in ADMINISTRATION if _open(rules, protocol, port)
        ),
        ingress=rules,
    )
    return _boundary(region, listing, listed, network_acl=acl)


def _rule(entry: Answer) -> AclRule:
    ports = entry.get("PortRange") or {}
    return AclRule(
        number=entry["RuleNumber"],
        action=entry["RuleAction"],
        protocol=PROTOCOLS.get(entry["Protocol"], entry["Protocol"]),
        from_port=ports.get("From"),
        to_port=ports.get("To"),
        cidr=entry.get("CidrBlock") or entry["Ipv6CidrBlock"],
    )


def _open(rules: Sequence[AclRule], protocol: str, port: int) -> bool:
    """Whether the first rule that is about every address of a family, and about this port, allows it."""
    for everyone in ANYWHERE:
        fitting = (rule for rule in rules if rule.cidr == everyone and _is_about(rule, protocol, port))
        decisive = next(fitting, None)
        if decisive and decisive.action == "allow":
            return True
    return False


def _is_about(rule: AclRule, protocol: str, port: int) -> bool:
    if rule.protocol == "all":
        return True
    within = rule.from_port is None or rule.to_port is None or rule.from_port <= port <= rule.to_port
    return rule.protocol == protocol and within


def _subnet(region: Region, listing: Listing, listed: Answer) -> NetworkBoundary:
    subnet = Subnet(
        zone=listed.get("AvailabilityZone"),
        is_default=listed["DefaultForAz"],
        auto_public_ip=listed["MapPublicIpOnLaunch"],
        auto_ipv6=listed["AssignIpv6AddressOnCreation"],
    )
    return _boundary(region, listing, listed, subnet=subnet)


def _routes(region: Region) -> dict[str, list[PeeringRoute]]:
    """The routes over each peering connection."""
    routes: dict[str, list[PeeringRoute]] = {}
    for table in region.pages("ec2:DescribeRouteTables", "RouteTables", MaxResults=ROUTE_TABLES_PAGE):
        for route in table.get("Routes") or ():
            if route.get("VpcPeeringConnectionId"):
                destination = _destination(route)
                leads = PeeringRoute(route_table=table["RouteTableId"], destination=destination)
                routes.setdefault(route["VpcPeeringConnectionId"], []).append(leads)
    return routes


def _destination(route: Answer) -> str:
    kinds = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
    return next(str(route[kind]) for kind in kinds if route.get(kind))


def _peering(
    routes: Mapping[str, Sequence[PeeringRoute]], region: Region, listing: Listing, listed: Answer
) -> NetworkBoundary:
    peering = Peering(
        status=listed["Status"]["Code"],
        requester=_peer(listed["RequesterVpcInfo"]),
        accepter=_peer(listed["AccepterVpcInfo"]),
        routes=tuple(routes.get(listing.name(listed), ())),
    )
    return _boundary(region, listing, listed, peering=peering)


def _peer(vpc: Answer) -> PeerVpc:
    return PeerVpc(vpc=vpc.get("VpcId"), account=vpc.get("OwnerId"), region=vpc.get("Region"))


def _boundary(region: Region, listing: Listing, listed: Answer, **its: Record) -> NetworkBoundary:
    name, owner = listing.name(listed), listed.get("OwnerId") or region.account
    place: dict[str, Any] = {
        "kind": listing.kind,
        "id": name,
        "arn": region.arn("ec2", f"{listing.kind.replace('_', '-')}/{name}", owner=owner),
        "account": owner,
        "region": region.region,
        "vpc": listed.get("VpcId"),
        "tags": tags(listed.get("Tags")),
    }
    others = dict.fromkeys(("network_acl", "subnet", "peering"))
    return NetworkBoundary.model_validate({**place, **others, **its})
