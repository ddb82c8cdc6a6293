"""The IAM action that an API operation needs. Mostly both have one name."""

ACTIONS = {
    "accessanalyzer:ListAnalyzers": "access-analyzer:ListAnalyzers",
    "accessanalyzer:ListFindingsV2": "access-analyzer:ListFindings",
    "efs:DescribeBackupPolicy": "elasticfilesystem:DescribeBackupPolicy",
    "efs:DescribeFileSystems": "elasticfilesystem:DescribeFileSystems",
    "elbv2:DescribeListeners": "elasticloadbalancing:DescribeListeners",
    "elbv2:DescribeLoadBalancerAttributes": "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elbv2:DescribeLoadBalancers": "elasticloadbalancing:DescribeLoadBalancers",
    "resourcegroupstaggingapi:GetResources": "tag:GetResources",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3control:GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
    "sso-admin:DescribePermissionSet": "sso:DescribePermissionSet",
    "sso-admin:ListAccountAssignments": "sso:ListAccountAssignments",
    "sso-admin:ListAccountsForProvisionedPermissionSet": "sso:ListAccountsForProvisionedPermissionSet",
    "sso-admin:ListInstances": "sso:ListInstances",
    "sso-admin:ListPermissionSets": "sso:ListPermissionSets",
}

DISCOVERY = "ec2:DescribeRegions"
SIMULATION = "iam:SimulatePrincipalPolicy"  # which nothing needs: where it is allowed, doctor sees more
# What listing and entering accounts needs, beside what evidence types read.
ENTERING = (
    DISCOVERY,
    "organizations:ListAccounts",
    "organizations:ListAccountsForParent",
    "organizations:ListOrganizationalUnitsForParent",
)


def action(operation: str) -> str:
    """The IAM action of an operation, both written `service:Name`, the service as botocore calls it."""
    return ACTIONS.get(operation, operation)
