"""AWS Certificate Manager: certificates, until when they hold, and whether they renew themselves."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence

PAGE = 1000
KEY_TYPES = (  # AWS lists RSA keys up to 2048 bits only, unless it is asked for others
    "RSA_1024",
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "EC_prime256v1",
    "EC_secp384r1",
    "EC_secp521r1",
)
KEY_ORIGINS = ("AWS_MANAGED", "ACME", "CUSTOMER_PROVIDED")  # unless asked, AWS leaves out those made by ACME clients


class Certificate(Record):
    """One certificate: whom it is for, until when it holds, who uses it, and how it is renewed."""

    arn: str = Field(description="The certificate's ARN.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    domain: str | None = Field(description="The domain that it is for first; null where it names none.")
    names: tuple[str, ...] = Field(description="All the domains that it is for.")
    status: str = Field(description="`ISSUED`, `PENDING_VALIDATION`, `EXPIRED`, `REVOKED` or another state.")
    type: str = Field(description="`AMAZON_ISSUED`, `PRIVATE` or `IMPORTED`.")
    key_algorithm: str | None = Field(description="The kind of key, as in `RSA_2048`; null where AWS does not say.")
    not_before: Instant | None = Field(description="From when it holds; null where it was not issued.")
    not_after: Instant | None = Field(description="Until when it holds; null where it was not issued.")
    days_left: int | None = Field(
        description="The days until then, less than 0 where it has expired; null where it was not issued."
    )
    in_use: bool = Field(description="Whether an AWS resource uses it.")
    in_use_by: tuple[str, ...] = Field(description="The ARNs of the resources that use it.")
    validation: tuple[str, ...] = Field(
        description="How its domains are shown to be one's own, each way once: `DNS`, `EMAIL` or `HTTP`."
    )
    renewal_eligibility: str | None = Field(
        description="Whether AWS can renew it: `ELIGIBLE` or `INELIGIBLE`; null where AWS does not say."
    )
    renewal: str | None = Field(description="How the last renewal went, as in `SUCCESS`; null where there was none.")
    renewal_reason: str | None = Field(description="Why the last renewal failed; null where it did not.")


@evidence("acm:DescribeCertificate", "acm:ListCertificates")
def certificates(region: Region) -> Iterator[Certificate | Gap]:
    """Every certificate: until when it holds, who uses it, and whether it renews itself."""
    asked: dict[str, Any] = {
        "CertificateKeyPairOrigins": list(KEY_ORIGINS),
        "Includes": {"keyTypes": list(KEY_TYPES)},
        "MaxItems": PAGE,
    }
    listed = region.pages("acm:ListCertificates", "CertificateSummaryList", **asked)
    yield from region.each(listed, partial(_certificate, region), resource=lambda its: str(its["CertificateArn"]))


def _certificate(region: Region, listed: Answer) -> Certificate:
    arn = listed["CertificateArn"]
    certificate = region.read("acm:DescribeCertificate", CertificateArn=arn)["Certificate"]
    not_after = certificate.get("NotAfter")
    in_use_by = tuple(certificate.get("InUseBy") or ())
    return Certificate(
        arn=arn,
        account=region.account,
        region=region.region,
        domain=certificate.get("DomainName"),
        names=tuple(certificate.get("SubjectAlternativeNames") or ()),
        status=certificate["Status"],
        type=certificate["Type"],
        key_algorithm=_key_algorithm(certificate),
        not_before=certificate.get("NotBefore"),
        not_after=not_after,
        days_left=(not_after - region.run.started).days if not_after else None,
        in_use=bool(in_use_by),
        in_use_by=in_use_by,
        validation=_validation(certificate),
        renewal_eligibility=certificate.get("RenewalEligibility"),
        renewal=certificate.get("RenewalSummary", {}).get("RenewalStatus"),
        renewal_reason=certificate.get("RenewalSummary", {}).get("RenewalStatusReason"),
    )


def _key_algorithm(certificate: Answer) -> str | None:
    """AWS writes `RSA-2048` here and `RSA_2048` in lists."""
    algorithm: str | None = certificate.get("KeyAlgorithm")
    return algorithm and algorithm.replace("-", "_")


def _validation(certificate: Answer) -> tuple[str, ...]:
    options = certificate.get("DomainValidationOptions") or ()
    return tuple(sorted({option["ValidationMethod"] for option in options if "ValidationMethod" in option}))
