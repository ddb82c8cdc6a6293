"""AWS WAF: web ACLs, what they guard, and whether they log."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from pydantic import Field

from collectors.aws.distributions import distributions
from collectors.aws.targets import Account, Answer
from collectors.contract import Gap, Record, evidence

PAGE = 100
EVERYWHERE, EDGE = "REGIONAL", "CLOUDFRONT"
EDGE_REGION = "us-east-1"
# AWS asks for one kind at a time. Other kinds need grants of the services that they belong to.
RESOURCE_TYPES = ("API_GATEWAY", "APPLICATION_LOAD_BALANCER", "APPSYNC")


class WebAcl(Record):
    """One web ACL: what it guards, and where it logs to."""

    name: str = Field(description="The web ACL's name.")
    arn: str = Field(description="The web ACL's ARN.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region; `us-east-1` of those for CloudFront, which are global.")
    scope: str = Field(description="`REGIONAL`, or `CLOUDFRONT` of those that guard distributions.")
    attached: tuple[str, ...] = Field(
        description="The ARNs of the distributions, load balancers, REST API stages and AppSync APIs that it guards."
    )
    logging: bool = Field(description="Whether it logs the requests that it sees.")
    log_destinations: tuple[str, ...] = Field(description="The ARNs of what it logs to.")


class Place(NamedTuple):
    """Where web ACLs are listed."""

    scope: str
    region: str

    def __str__(self) -> str:
        return self.region if self.scope == EVERYWHERE else self.scope


@evidence(
    "cloudfront:ListDistributions",
    "ec2:DescribeRegions",
    "wafv2:GetLoggingConfiguration",
    "wafv2:ListResourcesForWebACL",
    "wafv2:ListWebACLs",
)
def web_acls(account: Account) -> Iterator[WebAcl | Gap]:
    """Every web ACL of all regions and of CloudFront: what it guards, and whether it logs."""
    places = [Place(EVERYWHERE, region) for region in account.regions()]
    if account.partition == "aws":  # others have no CloudFront that web ACLs could guard
        places.append(Place(EDGE, EDGE_REGION))
    found: list[tuple[Place, Answer]] = []
    for seen in account.each(places, partial(_listed, account), resource=str, may_go=False):
        if isinstance(seen, Gap):
            yield seen
        else:
            found += seen
    yield from account.each(found, partial(_web_acl, account), resource=lambda its: str(its[1]["ARN"]))


def _listed(account: Account, place: Place) -> list[tuple[Place, Answer]]:
    """The web ACLs of a place. AWS may name a next page where there is none, which is then empty."""
    found: list[tuple[Place, Answer]] = []
    marker: Answer = {}
    while True:
        asked: Answer = {"Scope": place.scope, **marker}
        page = account.read("wafv2:ListWebACLs", region=place.region, Limit=PAGE, **asked)
        found += ((place, web_acl) for web_acl in page["WebACLs"])
        if not page["WebACLs"] or not page.get("NextMarker"):
            return found
        marker = {"NextMarker": page["NextMarker"]}


def _web_acl(account: Account, listed: tuple[Place, Answer]) -> WebAcl:
    place, web_acl = listed
    arn = web_acl["ARN"]
    asked = {"ResourceArn": arn, "region": place.region}
    logging = account.find(("WAFNonexistentItemException",), "wafv2:GetLoggingConfiguration", **asked)
    destinations = logging["LoggingConfiguration"]["LogDestinationConfigs"] if logging else ()
    return WebAcl(
        name=web_acl["Name"],
        arn=arn,
        account=account.account,
        region=place.region,
        scope=place.scope,
        attached=tuple(_attached(account, place, arn)),
        logging=bool(destinations),
        log_destinations=tuple(destinations),
    )


def _attached(account: Account, place: Place, arn: str) -> Iterator[str]:
    if place.scope == EDGE:
        yield from (each["ARN"] for each in distributions(account) if each["WebACLId"] == arn)
        return
    for kind in RESOURCE_TYPES:
        asked: Answer = {"WebACLArn": arn, "ResourceType": kind}
        answer = account.read("wafv2:ListResourcesForWebACL", region=place.region, **asked)
        yield from answer.get("ResourceArns") or ()
