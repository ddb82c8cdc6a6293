"""What tells which environment something on AWS is for: an account's name and place, a VPC's tags."""

from typing import Literal

from pydantic import Field

from collectors.aws.targets import Answer, tags
from collectors.contract import Record

ENVIRONMENT_TAGS = ("environment", "env", "stage")


class Environment(Record):
    """One account of the organization or one VPC: what tells which environment it is for."""

    kind: Literal["account", "vpc"] = Field(description="An account, or a VPC.")
    id: str = Field(description="The account's or VPC's id.")
    arn: str = Field(description="Its ARN.")
    name: str | None = Field(description="The account's name, or the VPC's tag `Name`; null where there is none.")
    account: str = Field(description="The account, or the one that owns the VPC.")
    region: str | None = Field(description="The region that the VPC is in; null for an account.")
    tags: dict[str, str] = Field(
        description="The VPC's tags; none for an account, as AWS lists accounts without, and for a VPC of another "
        "account, as its tags do not show."
    )
    environment: str | None = Field(
        description="The value of the tag `environment`, `env` or `stage`, in any case; null where no such tag shows."
    )
    state: str = Field(description="Its state, as in `ACTIVE` or `SUSPENDED`, or `available` for a VPC.")
    paths: tuple[str, ...] = Field(
        description="The root and the units that the account is in, by id; none for a VPC, and where AWS says none."
    )
    is_default: bool | None = Field(description="Whether it is its region's default VPC; null for an account.")


def of_account(listed: Answer) -> Environment:
    """An account, as Organizations lists it."""
    return Environment(
        kind="account",
        id=listed["Id"],
        arn=listed["Arn"],
        name=listed.get("Name"),
        account=listed["Id"],
        region=None,
        tags={},
        environment=None,
        state=state(listed),
        paths=paths(listed),
        is_default=None,
    )


def of_vpc(partition: str, region: str, vpc: Answer) -> Environment:
    """A VPC, as EC2 describes it."""
    vpc_id, owner = vpc["VpcId"], vpc["OwnerId"]
    own = tags(vpc.get("Tags"))
    return Environment(
        kind="vpc",
        id=vpc_id,
        arn=f"arn:{partition}:ec2:{region}:{owner}:vpc/{vpc_id}",
        name=own.get("Name"),
        account=owner,
        region=region,
        tags=own,
        environment=_environment(own),
        state=vpc["State"],
        paths=(),
        is_default=vpc["IsDefault"],
    )


def state(listed: Answer) -> str:
    """An account's state, by its newer or its older name."""
    return str(listed.get("State") or listed["Status"])


def paths(listed: Answer) -> tuple[str, ...]:
    """Where an account is in the organization, as in `o-acme7exam/r-ab12/ou-ab12-11111111/123456789012/`."""
    return tuple(listed.get("Paths") or ())


def _environment(tags: dict[str, str]) -> str | None:
    values = {key.lower(): value for key, value in tags.items()}
    return next((values[key] for key in ENVIRONMENT_TAGS if key in values), None)
