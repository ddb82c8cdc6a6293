"""A small company on AWS, on loopback: a moto server and what is in its two accounts.

python -m tests.fakes.aws --port 5000 --buckets 12     prints `ready http://127.0.0.1:5000`, and serves until stopped
"""

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

ACCOUNT, SECOND_ACCOUNT = "123456789012", "210987654321"
REGIONS = ("eu-central-1", "us-east-1")
ROLE = f"arn:aws:iam::{SECOND_ACCOUNT}:role/chequr-evidence"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}

Client = Callable[..., Any]


@contextlib.contextmanager
def serving(buckets: int = 12, denied: tuple[str, ...] | None = None) -> Iterator[str]:
    """The company in a process of its own: its endpoint. `denied` is what IAM's policy simulation does not allow."""
    command = [sys.executable, "-m", "tests.fakes.aws", "--port", "0", "--buckets", str(buckets)]
    command += [] if denied is None else ["--denied", *denied]
    environment = {**os.environ, **ENVIRONMENT}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as moto:
        try:
            ready = moto.stdout.readline().split()
            assert ready[:1] == ["ready"], "the moto server did not start"
            yield ready[1]
        finally:
            moto.terminate()


def seed(endpoint: str, buckets: int = 12) -> None:
    """Fills both accounts, one call after another: moto is not safe under parallel writes."""
    first = _clients(endpoint, ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"])
    role = first("sts").assume_role(RoleArn=ROLE, RoleSessionName="seed")["Credentials"]
    second = _clients(endpoint, role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"])
    _storage(first, ACCOUNT, "acme", buckets)
    _people(first)
    _trail(first)
    _network(first)
    _keys(first)
    _storage(second, SECOND_ACCOUNT, "acme-staging", 2)


def _clients(endpoint: str, *credentials: str) -> Client:
    import botocore.session
    from botocore.config import Config

    session = botocore.session.Session()
    session.set_credentials(*credentials)
    config = Config(s3={"addressing_style": "path"}, inject_host_prefix=False)

    def client(service: str, region: str = "us-east-1") -> Any:
        return session.create_client(service, region, endpoint_url=endpoint, config=config)

    return client


def _storage(client: Client, account: str, prefix: str, buckets: int) -> None:
    """Half of the buckets in each region; of four, one has no default encryption and one no access block."""
    for region in REGIONS:
        s3 = client("s3", region)
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        for number in range(REGIONS.index(region), buckets, len(REGIONS)):
            name = f"{prefix}-{number:03d}-{region}"
            s3.create_bucket(Bucket=name, **place)
            if number % 4 != 3:
                key = f"arn:aws:kms:{region}:{account}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
                _encrypt(s3, name, key if number % 4 == 2 else None)
            if number % 4 != 1:
                _block(s3, name)


def _encrypt(s3: Any, bucket: str, key: str | None) -> None:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": key is not None}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _block(s3: Any, bucket: str) -> None:
    settings = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(settings, True))


def _people(client: Client) -> None:
    iam = client("iam")
    iam.update_account_password_policy(MinimumPasswordLength=14, RequireSymbols=True, PasswordReusePrevention=24)
    for user in ("alice", "bob", "carol"):
        iam.create_user(UserName=user)
        iam.create_login_profile(UserName=user, Password="Correct-Horse-7-Battery")
    for user in ("alice", "carol"):
        device = iam.create_virtual_mfa_device(VirtualMFADeviceName=user)["VirtualMFADevice"]["SerialNumber"]
        iam.enable_mfa_device(
            UserName=user, SerialNumber=device, AuthenticationCode1="123456", AuthenticationCode2="654321"
        )
    iam.create_user(UserName="deploy")
    iam.create_access_key(UserName="deploy")


def _trail(client: Client) -> None:
    trails = client("cloudtrail")
    trails.create_trail(
        Name="acme-audit", S3BucketName="acme-000-eu-central-1", IsMultiRegionTrail=True, EnableLogFileValidation=True
    )
    trails.start_logging(Name="acme-audit")


def _network(client: Client) -> None:
    ec2 = client("ec2", "eu-central-1")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    web, bastion, database = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        for name in ("web", "bastion", "database")
    )
    anywhere = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    for group, port, sources in (
        (web, 443, anywhere),
        (bastion, 22, {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}),
        (database, 5432, {"UserIdGroupPairs": [{"GroupId": web}]}),
    ):
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **sources}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    ec2.create_network_interface(SubnetId=subnet, Groups=[web])


def _keys(client: Client) -> None:
    kms = client("kms", "eu-central-1")
    rotated, retired, _plain = (
        kms.create_key(Description=use)["KeyMetadata"]["KeyId"] for use in ("data", "old", "app")
    )
    kms.enable_key_rotation(KeyId=rotated)
    kms.schedule_key_deletion(KeyId=retired, PendingWindowInDays=14)
    kms.create_key(Description="signing", KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")


def with_root_user() -> None:
    """Gives moto's credential report the root user's row, which AWS's has and moto's has not."""
    from moto.iam.models import IAMBackend

    written = IAMBackend.get_credential_report

    def complete(backend: Any) -> str:
        header, users = written(backend).split("\n", 1)
        root = {"user": "<root_account>", "arn": f"arn:aws:iam::{backend.account_id}:root", "mfa_active": "false"}
        root |= {"user_creation_time": "2021-03-02T09:30:00+00:00", "password_last_used": "2026-01-05T08:12:41+00:00"}
        row = ",".join(root.get(column, "not_supported") for column in header.split(","))
        return f"{header}\n{row}\n{users}"

    IAMBackend.get_credential_report = complete


def with_simulation(denied: list[str]) -> None:
    """Teaches moto IAM's policy simulation: everything is allowed but these actions."""
    from moto.iam.responses import IamResponse

    def simulate(response: Any) -> str:
        action = "ActionNames.member."
        asked = [values[0] for name, values in response.querystring.items() if name.startswith(action)]
        results = "".join(
            f"<member><EvalActionName>{name}</EvalActionName><EvalResourceName>*</EvalResourceName>"
            f"<EvalDecision>{'implicitDeny' if name in denied else 'allowed'}</EvalDecision></member>"
            for name in asked
        )
        inner = f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
        name = "SimulatePrincipalPolicy"
        return f"<{name}Response><{name}Result>{inner}</{name}Result></{name}Response>"

    IamResponse.simulate_principal_policy = simulate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--buckets", type=int, default=12)
    parser.add_argument("--denied", nargs="*", help="answer policy simulations, with these actions denied")
    asked = parser.parse_args()
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with_root_user()
    if asked.denied is not None:
        with_simulation(asked.denied)
    server = ThreadedMotoServer("127.0.0.1", asked.port, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    seed(endpoint, asked.buckets)
    print("ready", endpoint, flush=True)  # noqa: T201 - whoever starts the fake waits for this line
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
