"""Amazon CloudFront: how distributions encrypt, what guards them, and what they log."""

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from collectors.aws.distributions import distributions as listed
from collectors.aws.moment import Instant
from collectors.aws.targets import Account, Answer
from collectors.contract import Gap, Record, evidence


class Distribution(Record):
    """One distribution: its viewers' encryption, its web ACL, and its logs."""

    distribution: str = Field(description="The distribution's id.")
    arn: str = Field(description="The distribution's ARN.")
    account: str = Field(description="The account.")
    domain: str = Field(description="The name that CloudFront gave it.")
    aliases: tuple[str, ...] = Field(description="Its other names.")
    enabled: bool = Field(description="Whether it answers viewers.")
    last_modified: Instant = Field(description="When it was changed last.")
    viewer_protocol_policies: tuple[str, ...] = Field(
        description="What viewers without TLS get, each way once: `allow-all`, `https-only`, `redirect-to-https`."
    )
    min_tls: str | None = Field(
        description="The oldest protocol for viewers, as in `TLSv1.2_2021`; null where AWS does not say."
    )
    default_certificate: bool = Field(description="Whether it uses CloudFront's own certificate, which has no aliases.")
    certificate_arn: str | None = Field(
        description="The ARN or IAM id of its certificate; null where it uses CloudFront's own."
    )
    web_acl: str | None = Field(description="The ARN or id of the web ACL that guards it; null where none does.")
    logging: bool = Field(
        description="Whether standard logs are written to a bucket; logs by CloudWatch's log delivery do not show here."
    )
    logging_bucket: str | None = Field(description="The bucket of those logs; null where none is named.")
    real_time_logging: bool = Field(description="Whether real-time logs are written of any of its paths.")


@evidence("cloudfront:GetDistributionConfig", "cloudfront:ListDistributions")
def distributions(account: Account) -> Iterator[Distribution | Gap]:
    """Every distribution: the oldest TLS that it speaks, the web ACL that guards it, and its logs."""
    yield from account.each(listed(account), partial(_distribution, account), resource=lambda its: str(its["ARN"]))


def _distribution(account: Account, found: Answer) -> Distribution:
    config = account.read("cloudfront:GetDistributionConfig", Id=found["Id"])["DistributionConfig"]
    behaviors = (config["DefaultCacheBehavior"], *(config.get("CacheBehaviors", {}).get("Items") or ()))
    certificate = config.get("ViewerCertificate", {})
    logging = config.get("Logging", {})
    return Distribution(
        distribution=found["Id"],
        arn=found["ARN"],
        account=account.account,
        domain=found["DomainName"],
        aliases=tuple(config.get("Aliases", {}).get("Items") or ()),
        enabled=config["Enabled"],
        last_modified=found["LastModifiedTime"],
        viewer_protocol_policies=tuple(sorted({behavior["ViewerProtocolPolicy"] for behavior in behaviors})),
        min_tls=certificate.get("MinimumProtocolVersion"),
        default_certificate=certificate.get("CloudFrontDefaultCertificate", False),
        certificate_arn=certificate.get("ACMCertificateArn") or certificate.get("IAMCertificateId"),
        web_acl=config.get("WebACLId") or None,
        logging=logging.get("Enabled", False),
        logging_bucket=logging.get("Bucket") or None,
        real_time_logging=any(behavior.get("RealtimeLogConfigArn") for behavior in behaviors),
    )
