"""Accounts of AWS of a given size, in a moto server.

    python -m benchmarks.fleet --accounts 1 --buckets 50 --users 100 --groups 20 --instances 20

Prints its endpoint, and serves until it is stopped. The first account is the credentials' own, each further one is
entered by a role. What is counted is for each account, half of it in each of two regions.
"""

import argparse
import logging
import os
import signal
from typing import Any

import boto3

from tests.fakes.aws import ENVIRONMENT, REGIONS, with_root_user

FIRST = 123456789012


def role(account: int) -> str:
    """The ARN of the role by which an account is entered."""
    return f"arn:aws:iam::{account}:role/chequr-evidence"


def seed(number: int, told: argparse.Namespace) -> None:
    """Fills one account, whose number among all is told."""
    session = _session(FIRST + number)
    for region in REGIONS:
        half = slice(REGIONS.index(region), None, len(REGIONS))
        _storage(session.client("s3", region), [f"acme-{number}-{each:05d}" for each in range(told.buckets)[half]])
        _network(session.client("ec2", region), told.groups // len(REGIONS), told.instances // len(REGIONS))
        kms = session.client("kms", region)
        for _ in range(2):
            kms.create_key()
    _people(session.client("iam"), told.users)


def _session(account: int) -> Any:
    ambient = boto3.Session(*ENVIRONMENT.values(), region_name=REGIONS[0])
    if account == FIRST:
        return ambient
    issued = ambient.client("sts").assume_role(RoleArn=role(account), RoleSessionName="seed")["Credentials"]
    return boto3.Session(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"], REGIONS[0])


def _storage(s3: Any, names: list[str]) -> None:
    region = s3.meta.region_name
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    switches = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    for number, name in enumerate(names):
        s3.create_bucket(Bucket=name, **place)
        if number % 4:  # of four buckets, one has nothing set
            s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
            s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(switches, True))


def _people(iam: Any, users: int) -> None:
    iam.update_account_password_policy(MinimumPasswordLength=14)
    for number in range(users):
        name = f"user-{number:05d}"
        iam.create_user(UserName=name)
        if number % 2:
            iam.create_login_profile(UserName=name, Password="Correct-Horse-7-Battery")
        else:
            iam.create_access_key(UserName=name)


def _network(ec2: Any, groups: int, instances: int) -> None:
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = [
        ec2.create_security_group(GroupName=f"group-{each}", Description="any", VpcId=vpc)["GroupId"]
        for each in range(groups)
    ]
    for number, group in enumerate(made):
        rule = {"IpProtocol": "tcp", "FromPort": number, "ToPort": number, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    if instances:
        ec2.run_instances(ImageId="ami-12c6146b", MinCount=instances, MaxCount=instances)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1)
    parser.add_argument("--buckets", type=int, default=50)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--instances", type=int, default=20)
    told = parser.parse_args()
    from moto import mock_aws
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # else each account owns a thousand public snapshots
    with_root_user()
    inside = mock_aws()
    inside.start()
    for number in range(told.accounts):
        seed(number, told)
    inside.stop(remove_data=False)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
