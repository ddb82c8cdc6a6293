"""The role that reads an account, as CloudFormation and Terraform take it."""

import json
import re

import pytest

from collectors.aws import SOURCE
from collectors.registry import evidence_types

TYPES = evidence_types("aws")
FEW = [kind for kind in TYPES if kind.id in {"aws_kms_key_rotation", "aws_iam_password_policy"}]


@pytest.fixture
def template():
    return json.loads(SOURCE.formats["cloudformation"](FEW))


def _policies(template):
    return [policy["PolicyDocument"] for policy in template["Resources"]["Role"]["Properties"]["Policies"]]


def test_the_role_may_what_the_types_declare(template):
    """Its policy is the one that is printed without a format, and nothing is granted beside it."""
    assert _policies(template) == [SOURCE.grants(FEW)]
    assert "ManagedPolicyArns" not in template["Resources"]["Role"]["Properties"]
    declared = {permission for kind in FEW for permission in kind.permissions}
    (statement,) = _policies(template)[0]["Statement"]
    assert set(statement["Action"]) == declared | {"ec2:DescribeRegions"}


def test_one_principal_may_assume_it(template):
    """The trust is to one identity that is asked for, on condition of the ExternalId where there is one."""
    (statement,) = template["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert (statement["Principal"], statement["Action"]) == ({"AWS": {"Ref": "Principal"}}, "sts:AssumeRole")
    assert statement["Condition"] == {
        "Fn::If": [
            "HasExternalId",
            {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}},
            {"Ref": "AWS::NoValue"},
        ]
    }
    assert "Default" not in template["Parameters"]["Principal"]


@pytest.mark.parametrize(
    ("arn", "is_one"),
    [
        ("arn:aws:iam::123456789012:role/agent", True),
        ("arn:aws-us-gov:iam::123456789012:user/audit/agent", True),
        ("*", False),
        ("123456789012", False),
    ],
)
def test_everybody_is_no_principal(template, arn, is_one):
    """A wildcard and a whole account are refused by the template itself."""
    assert bool(re.fullmatch(template["Parameters"]["Principal"]["AllowedPattern"], arn)) == is_one


def test_the_stack_set_rolls_out_the_same_role(template):
    """What the accounts of an organization get is the role of the template, with the same parameters."""
    stack_set = template["Resources"]["StackSet"]
    inner = json.loads(stack_set["Properties"]["TemplateBody"])
    assert inner["Resources"] == {"Role": template["Resources"]["Role"]}
    given = {one["ParameterKey"]: one["ParameterValue"] for one in stack_set["Properties"]["Parameters"]}
    assert given == {name: {"Ref": name} for name in inner["Parameters"]}
    assert given.keys() <= template["Parameters"].keys()
    assert stack_set["Condition"] in template["Conditions"]
    assert stack_set["Properties"]["PermissionModel"] == "SERVICE_MANAGED"


def test_terraform_says_the_same(template):
    """In HCL the policy and the rolled out template are the same documents, and every variable is used."""
    text = SOURCE.formats["terraform"](FEW)
    (policy,) = re.findall(r"<<-POLICY\n(.*?)\n  POLICY", text, re.DOTALL)
    (body,) = re.findall(r"<<-TEMPLATE\n(.*?)\n  TEMPLATE", text, re.DOTALL)
    assert json.loads(policy) == SOURCE.grants(FEW)
    assert json.loads(body) == json.loads(template["Resources"]["StackSet"]["Properties"]["TemplateBody"])
    variables = re.findall(r'^variable "(\w+)"', text, re.MULTILINE)
    assert set(re.findall(r"var\.(\w+)", text)) == set(variables)
    assert text.count("{") == text.count("}")
    assert "${" not in text


def test_all_types_fit_into_a_role():
    """The policy of all types is within what AWS allows a role's own policies: 10,240 characters."""
    assert len(json.dumps(SOURCE.grants(TYPES), separators=(",", ":"))) < 10_240
