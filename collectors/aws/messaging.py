"""Amazon SNS and SQS: whether topics and queues are encrypted, and whom they admit."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from collectors.aws.listings import Listing, look_at
from collectors.aws.policies import open_statements
from collectors.aws.targets import Region
from collectors.contract import Gap, Record, evidence

TOPICS = Listing("topic", "sns:ListTopics", "Topics", "TopicArn")
QUEUES = Listing("queue", "sqs:ListQueues", "QueueUrls", None, {"MaxResults": 1000})
NO_POLICY = '{"Statement": []}'
QUEUE_ATTRIBUTES = ["KmsMasterKeyId", "Policy", "QueueArn", "SqsManagedSseEnabled"]


class Exposure(Record):
    """One topic or queue: how it is encrypted at rest, and whether its policy admits everyone."""

    kind: Literal["topic", "queue"] = Field(description="A topic of SNS, or a queue of SQS.")
    name: str = Field(description="Its name.")
    arn: str = Field(description="Its ARN.")
    account: str = Field(description="The account that owns it.")
    region: str = Field(description="The region that it is in.")
    kms: str | None = Field(description="The KMS key's id, ARN or alias; null where no key encrypts it.")
    sqs_managed_encryption: bool | None = Field(
        description="Whether SQS encrypts the queue with a key of its own; null for a topic."
    )
    public: bool = Field(
        description="Whether the policy allows every principal, or all but some, something without condition."
    )
    public_on_condition: bool = Field(
        description="Whether the policy allows every principal something under conditions, not judged here."
    )


@evidence("sns:GetTopicAttributes", "sns:ListTopics", "sqs:GetQueueAttributes", "sqs:ListQueues")
def exposure(region: Region) -> Iterator[Exposure | Gap]:
    """Every topic's and queue's encryption at rest and openness."""
    yield from look_at(region, (TOPICS, QUEUES), _exposure)


def _exposure(region: Region, listing: Listing, listed: Any) -> Exposure:
    if listing is TOPICS:
        operation, asked = "sns:GetTopicAttributes", {"TopicArn": listed["TopicArn"]}
    else:
        operation, asked = "sqs:GetQueueAttributes", {"QueueUrl": listed, "AttributeNames": QUEUE_ATTRIBUTES}
    attributes = region.read(operation, **asked)["Attributes"]
    arn = attributes["TopicArn" if listing is TOPICS else "QueueArn"]
    policy = attributes.get("Policy") or NO_POLICY
    conditions = [bool(statement.get("Condition")) for statement in open_statements(policy, operation)]
    return Exposure(
        kind=listing.kind,
        name=arn.split(":")[5],
        arn=arn,
        account=arn.split(":")[4],
        region=region.region,
        kms=attributes.get("KmsMasterKeyId") or None,
        sqs_managed_encryption=None if listing is TOPICS else attributes.get("SqsManagedSseEnabled") == "true",
        public=not all(conditions),
        public_on_condition=any(conditions),
    )
