"""Every AWS evidence type that a moto server can answer, from the API to the record: one resource of each kind."""

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import boto3
import pytest
from botocore.config import Config

from collectors.aws.connection import Connection
from collectors.aws.settings import Settings
from collectors.contract import Gap, Run
from collectors.registry import evidence_types
from tests.fakes.aws import ACCOUNT, ENVIRONMENT, REGIONS, serving
from tests.replay_aws import loader

REGION = REGIONS[0]
EKS = {"Service": "eks.amazonaws.com"}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": EKS, "Action": "sts:AssumeRole"}]}
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

# What moto lacks: an operation that the type rests on. Their examples are answered by botocore's own events.
NOT_SERVED = {
    "aws_accessanalyzer_findings",
    "aws_account_contacts",
    "aws_backup_plans",
    "aws_backup_restore_jobs",
    "aws_cloudtrail_privileged_events",
    "aws_config_rule_compliance",
    "aws_ebs_encryption",
    "aws_ec2_instance_metadata",
    "aws_guardduty_detectors",
    "aws_inspector_findings",
    "aws_lambda_functions",
    "aws_organizations_guardrails",
    "aws_ssm_patch_compliance",
    "aws_waf_web_acls",
}
# By type, the facts of one record that the seed below makes.
SEEN = {
    "aws_account_resources": {"type": "dynamodb:table"},
    "aws_acm_certificates": {"domain": "www.example.com"},
    "aws_cloudfront_distributions": {"enabled": True},
    "aws_cloudtrail_trails": {"name": "acme-audit", "is_logging": True, "multi_region": True},
    "aws_cloudwatch_log_retention": {"log_group": "/acme/app", "retention_days": 30},
    "aws_cloudwatch_security_alarms": {"filter": "root-use", "metrics": ["Acme/RootUse"]},
    "aws_config_recorder": {"region": REGION},
    "aws_dynamodb_table_protection": {"table": "orders"},
    "aws_ecr_repositories": {"repository": "app"},
    "aws_efs_file_systems": {"encrypted": True},
    "aws_eks_clusters": {"name": "acme"},
    "aws_elb_load_balancers": {"name": "web"},
    "aws_iam_access_keys": {"user": "deploy", "status": "Active"},
    "aws_iam_admin_privileges": {"policy": "everything", "star_star": True},
    "aws_iam_inactive_users": {"user": "alice"},
    "aws_iam_password_policy": {"exists": True, "min_length": 14},
    "aws_iam_root_account": {"root_mfa": False},
    "aws_iam_user_mfa": {"user": "alice", "mfa_type": ["virtual"]},
    "aws_kms_key_rotation": {"manager": "CUSTOMER", "rotation": True},
    "aws_macie_sessions": {"region": REGION},
    "aws_messaging_exposure": {"kind": "queue"},
    "aws_organizations_environments": {"kind": "account"},
    "aws_rds_backups": {"retention_days": 7},
    "aws_rds_encryption": {"storage_encrypted": True},
    "aws_rds_multi_az": {"multi_az": True},
    "aws_rds_public_access": {"publicly_accessible": False},
    "aws_s3_bucket_encryption": {"encryption": "AES256"},
    "aws_s3_bucket_logging_versioning": {"versioning": None},
    "aws_s3_bucket_public_access": {"is_public": None},
    "aws_s3_bucket_tls_only": {"has_policy": False},
    "aws_secretsmanager_rotation": {"region": REGION},
    "aws_securityhub_standards": {"region": REGION},
    "aws_vpc_flow_logs": {"enabled": False},
    "aws_vpc_network_acls": {"region": REGION},
    "aws_vpc_security_group_ingress": {"name": "bastion", "open_ports": ["tcp/22"]},
}
# moto has an instance of the Identity Center, and nobody in it.
EMPTY = {"aws_identitycenter_assignments"}


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    nowhere = str(tmp_path_factory.mktemp("aws") / "none")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            environment.setenv(name, nowhere)
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        with serving(buckets=4) as endpoint:
            seed(endpoint)
            yield endpoint


@pytest.fixture(scope="module")
def places(company):
    """The account and its first region."""
    settings = Settings.model_validate({"endpoint_url": company, "regions": REGIONS})
    with ThreadPoolExecutor(8) as pool, contextlib.ExitStack() as open_places:
        run = Run("aws", datetime.now(UTC), pool, 8, threading.Event())
        entered = list(Connection(settings, run, _with_one_loader).places())
        for place in entered:
            open_places.callback(place.close)
        yield entered[:2]


def _with_one_loader(session):
    session.register_component("data_loader", loader())


def seed(endpoint):
    """One resource of each kind that moto can hold."""
    config = Config(inject_host_prefix=False)

    def client(service, region=REGION):
        return boto3.client(service, region, endpoint_url=endpoint, config=config)

    subnets = [subnet["SubnetId"] for subnet in client("ec2").describe_subnets()["Subnets"]][:2]
    client("acm").request_certificate(DomainName="www.example.com")
    client("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "env", "Value": "prod"}],
    )
    client("ecr").create_repository(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
    client("efs").create_file_system(CreationToken="files", Encrypted=True)
    role = client("iam").create_role(RoleName="app", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    client("eks").create_cluster(name="acme", roleArn=role, resourcesVpcConfig={"subnetIds": subnets})
    client("elbv2").create_load_balancer(Name="web", Subnets=subnets)
    policy = client("iam").create_policy(PolicyName="everything", PolicyDocument=json.dumps(EVERYTHING))
    client("iam").attach_user_policy(UserName="alice", PolicyArn=policy["Policy"]["Arn"])
    logs = client("logs")
    logs.create_log_group(logGroupName="/acme/app")
    logs.put_retention_policy(logGroupName="/acme/app", retentionInDays=30)
    counted = {"metricName": "RootUse", "metricNamespace": "Acme", "metricValue": "1"}
    logs.put_metric_filter(
        logGroupName="/acme/app", filterName="root-use", filterPattern="Root", metricTransformations=[counted]
    )
    client("sqs").create_queue(QueueName="jobs")
    client("organizations").create_organization(FeatureSet="ALL")
    client("rds").create_db_instance(
        DBInstanceIdentifier="orders",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="root",
        MasterUserPassword="not-a-secret",
        StorageEncrypted=True,
        BackupRetentionPeriod=7,
        MultiAZ=True,
        PubliclyAccessible=False,
    )
    client("secretsmanager").create_secret(Name="database", SecretString="not-a-secret")
    origin = {"Id": "site", "DomainName": "site.example.com", "CustomOriginConfig": {
        "HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only",
    }}  # fmt: skip
    client("cloudfront", "us-east-1").create_distribution(
        DistributionConfig={
            "CallerReference": "1",
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {"TargetOriginId": "site", "ViewerProtocolPolicy": "https-only"},
        }
    )


TYPES = {kind.id: kind for kind in evidence_types("aws")}


def test_each_type_is_here():
    assert SEEN.keys() | NOT_SERVED | EMPTY == TYPES.keys()


@pytest.mark.parametrize("name", sorted(TYPES.keys() - NOT_SERVED))
def test_what_the_server_has_is_what_the_record_says(places, name):
    """The records fit their shape, nothing is a gap, and the seeded resource is seen as it was made."""
    kind = TYPES[name]
    (place,) = [place for place in places if isinstance(place, kind.target)]
    seen = list(kind(place))
    assert not [gap for gap in seen if isinstance(gap, Gap)]
    records = [record.model_dump(mode="json") for record in seen]
    for record in records:
        assert record.get("account", ACCOUNT) == ACCOUNT
    if name in EMPTY:
        assert records == []
    else:
        facts = SEEN[name]
        assert [record for record in records if facts.items() <= record.items()], records[:3]
