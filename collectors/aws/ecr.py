"""Amazon Elastic Container Registry: repositories, whether images are scanned, and whether tags can be moved."""

from collections.abc import Iterator

from pydantic import Field

from collectors.aws.batches import batches
from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Record, evidence

PAGE = 1000
BATCH = 25


class Repository(Record):
    """One private repository."""

    repository: str = Field(description="The repository's name.")
    arn: str = Field(description="The repository's ARN.")
    account: str = Field(description="The account whose registry it is in.")
    region: str = Field(description="The region.")
    created_at: Instant = Field(description="When it was made.")
    tag_immutability: str = Field(
        description="Whether an image's tag can be moved to another: `MUTABLE`, `IMMUTABLE` or one with exclusions."
    )
    tag_exclusions: tuple[str, ...] = Field(description="The tags that are excluded from that, as patterns.")
    registry_scan_type: str = Field(
        description="`BASIC`, or `ENHANCED` where Amazon Inspector scans; for all repositories of the region."
    )
    scan_on_push: bool = Field(
        description="Whether images are scanned when they are pushed, by the registry's rules or the repository's own."
    )
    scan_frequency: str = Field(description="`SCAN_ON_PUSH`, `CONTINUOUS_SCAN` or `MANUAL`.")
    encryption: str | None = Field(
        description="How images are encrypted: `AES256`, `KMS` or `KMS_DSSE`; null where AWS does not say."
    )
    kms_key: str | None = Field(description="The KMS key of the images; null where AWS's own key is used.")


@evidence(
    "ecr:BatchGetRepositoryScanningConfiguration", "ecr:DescribeRepositories", "ecr:GetRegistryScanningConfiguration"
)
def repositories(region: Region) -> Iterator[Repository]:
    """Every private repository: whether its images are scanned, and whether their tags can be moved."""
    found = {
        repository["repositoryName"]: repository
        for repository in region.pages("ecr:DescribeRepositories", "repositories", maxResults=PAGE)
    }
    if not found:
        return
    registry = region.read("ecr:GetRegistryScanningConfiguration")["scanningConfiguration"]
    for batch in batches(found, BATCH):
        for scanning in _scanning(region, batch):
            yield _repository(region, registry, found[scanning["repositoryName"]], scanning)


def _scanning(region: Region, names: list[str]) -> list[Answer]:
    """What holds for each repository; nothing of one that went away, which AWS counts as a failure."""
    answer = region.read("ecr:BatchGetRepositoryScanningConfiguration", repositoryNames=names)
    scanning: list[Answer] = answer["scanningConfigurations"]
    return scanning


def _repository(region: Region, registry: Answer, repository: Answer, scanning: Answer) -> Repository:
    encryption = repository.get("encryptionConfiguration", {})
    exclusions = repository.get("imageTagMutabilityExclusionFilters") or ()
    return Repository(
        repository=repository["repositoryName"],
        arn=repository["repositoryArn"],
        account=repository["registryId"],
        region=region.region,
        created_at=repository["createdAt"],
        tag_immutability=repository["imageTagMutability"],
        tag_exclusions=tuple(exclusion["filter"] for exclusion in exclusions),
        registry_scan_type=registry["scanType"],
        scan_on_push=scanning["scanOnPush"],
        scan_frequency=scanning["scanFrequency"],
        encryption=encryption.get("encryptionType"),
        kms_key=encryption.get("kmsKey"),
    )
