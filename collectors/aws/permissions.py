"""The IAM action that an API operation needs. Mostly both have one name."""

ACTIONS = {
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3control:GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
}


def action(operation: str) -> str:
    """The IAM action of an operation, both written `service:Name`, the service as botocore calls it."""
    return ACTIONS.get(operation, operation)
