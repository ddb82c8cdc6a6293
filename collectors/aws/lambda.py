"""AWS Lambda: functions, what they run on, and who may call them."""  # noqa: N999 - the service's name makes the id

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.policies import open_statements
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence

LIST, POLICY = "lambda:ListFunctions", "lambda:GetPolicy"
PAGE = 50


class FunctionUrl(Record):
    """A web address that calls the function."""

    arn: str = Field(description="The ARN of the function or alias that it calls.")
    auth_type: str = Field(description="`AWS_IAM`, or `NONE` where Lambda asks nobody who they are.")
    allow_origins: tuple[str, ...] = Field(description="The web origins whose pages may call it.")


class Function(Record):
    """One function: what it runs on, in which network, and who may call it. Its environment is not looked at."""

    name: str = Field(description="The function's name.")
    arn: str = Field(description="The function's ARN.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    package_type: str = Field(description="`Zip`, or `Image` where it brings its own runtime.")
    runtime: str | None = Field(description="What it runs on, as in `python3.13`; null of a container image.")
    role_arn: str = Field(description="The role that it acts with.")
    last_modified: Instant = Field(description="When its code or configuration was changed last.")
    vpc: str | None = Field(description="The VPC that it is connected to; null where it is connected to none.")
    subnets: tuple[str, ...] = Field(description="The ids of its subnets.")
    security_groups: tuple[str, ...] = Field(description="The ids of its security groups.")
    kms_key_arn: str | None = Field(
        description="The KMS key of its environment; null where AWS's own key is used, or it has none."
    )
    public: bool = Field(
        description="Whether its policy allows every principal, or all but some, something without condition."
    )
    public_on_condition: bool = Field(
        description="Whether its policy allows every principal something under conditions, not judged here."
    )
    urls: tuple[FunctionUrl, ...] = Field(description="The function URLs of the function and its aliases.")


@evidence("lambda:GetPolicy", "lambda:ListFunctionUrlConfigs", "lambda:ListFunctions")
def functions(region: Region) -> Iterator[Function | Gap]:
    """Every Lambda function: its runtime, its network, and whether the public may call it.

    Aliases and versions may have policies of their own, which are not read: whom these admit is not told.
    """
    yield from region.each(_functions(region), partial(_function, region), resource=lambda its: str(its["FunctionArn"]))


def _functions(region: Region) -> Iterator[Answer]:
    """All functions. Their environments may hold secrets, and are dropped before a page is remembered."""
    asked: dict[str, Any] = {"MaxItems": PAGE}
    while True:
        page = region.remember(LIST, partial(_page, region, asked), **asked)
        yield from page["Functions"]
        if not page.get("NextMarker"):
            return
        asked = {"MaxItems": PAGE, "Marker": page["NextMarker"]}


def _page(region: Region, asked: dict[str, Any]) -> Answer:
    page = region.call(LIST, **asked)
    for function in page["Functions"]:
        function.pop("Environment", None)
    return page


def _function(region: Region, function: Answer) -> Function:
    arn = function["FunctionArn"]
    network = function.get("VpcConfig", {})
    urls = region.pages("lambda:ListFunctionUrlConfigs", "FunctionUrlConfigs", FunctionName=arn, MaxItems=PAGE)
    conditions = _conditions(region, arn)
    return Function(
        name=function["FunctionName"],
        arn=arn,
        account=region.account,
        region=region.region,
        package_type=function.get("PackageType", "Zip"),
        runtime=function.get("Runtime"),
        role_arn=function["Role"],
        last_modified=function["LastModified"],
        vpc=network.get("VpcId") or None,
        subnets=tuple(network.get("SubnetIds") or ()),
        security_groups=tuple(network.get("SecurityGroupIds") or ()),
        kms_key_arn=function.get("KMSKeyArn"),
        public=not all(conditions),
        public_on_condition=any(conditions),
        urls=tuple(_url(url) for url in urls),
    )


def _conditions(region: Region, arn: str) -> list[bool]:
    """Of each statement of the function's policy that admits everyone, whether it has conditions."""
    answer = region.find(("ResourceNotFoundException",), POLICY, FunctionName=arn)
    return [bool(each.get("Condition")) for each in open_statements(answer["Policy"], POLICY)] if answer else []


def _url(url: Answer) -> FunctionUrl:
    return FunctionUrl(
        arn=url["FunctionArn"],
        auth_type=url["AuthType"],
        allow_origins=tuple(url.get("Cors", {}).get("AllowOrigins") or ()),
    )
