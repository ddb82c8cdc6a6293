"""The role that reads an account, and its rollout over an organization, as infrastructure is written down."""

import json
from collections.abc import Sequence
from typing import Any

from collectors.aws.grants import grants
from collectors.contract import EvidenceType

_DESCRIPTION = "Lets the Chequr evidence agent read what it collects, and nothing else."
_PRINCIPAL = "The one identity that may assume the role: the ARN of the agent's own role or user."
_EXTERNAL_ID = "What the agent sends as external_id; without one, whoever is the principal may assume the role."
_ROLE = "The role's name in each account."
_UNITS = "Organizational units whose accounts get the role, now and when they join; none: this account only."


def cloudformation(types: Sequence[EvidenceType[Any]]) -> str:
    """A template for one account or, with OrganizationalUnits, for a management account and all accounts beneath.

    A StackSet leaves out the account that it is in, so the role is also a resource of the template itself.
    """
    inner = _template(types)
    template = _template(types)
    template["Parameters"]["OrganizationalUnits"] = {
        "Type": "CommaDelimitedList",
        "Default": "",
        "Description": _UNITS,
    }
    template["Conditions"]["HasUnits"] = _is_given({"Fn::Join": ["", {"Ref": "OrganizationalUnits"}]})
    template["Resources"]["StackSet"] = {
        "Type": "AWS::CloudFormation::StackSet",
        "Condition": "HasUnits",
        "Properties": {
            "StackSetName": {"Ref": "RoleName"},
            "Description": _DESCRIPTION,
            "PermissionModel": "SERVICE_MANAGED",
            "AutoDeployment": {"Enabled": True, "RetainStacksOnAccountRemoval": False},
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Parameters": [{"ParameterKey": name, "ParameterValue": {"Ref": name}} for name in inner["Parameters"]],
            "StackInstancesGroup": [
                {
                    "DeploymentTargets": {"OrganizationalUnitIds": {"Ref": "OrganizationalUnits"}},
                    "Regions": [{"Ref": "AWS::Region"}],
                }
            ],
            "TemplateBody": json.dumps(inner, separators=(",", ":")),
        },
    }
    return json.dumps(template, indent=2) + "\n"


def _template(types: Sequence[EvidenceType[Any]]) -> dict[str, Any]:
    condition = {"Fn::If": ["HasExternalId", _sends({"Ref": "ExternalId"}), {"Ref": "AWS::NoValue"}]}
    trust = {"Effect": "Allow", "Principal": {"AWS": {"Ref": "Principal"}}, "Action": "sts:AssumeRole"}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": _DESCRIPTION,
        "Parameters": {
            "Principal": {
                "Type": "String",
                "AllowedPattern": "arn:aws[a-z-]*:(iam|sts)::\\d{12}:.+",
                "Description": _PRINCIPAL,
            },
            "ExternalId": {"Type": "String", "Default": "", "Description": _EXTERNAL_ID},
            "RoleName": {"Type": "String", "Default": "chequr-evidence", "Description": _ROLE},
        },
        "Conditions": {"HasExternalId": _is_given({"Ref": "ExternalId"})},
        "Resources": {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": {"Ref": "RoleName"},
                    "Description": _DESCRIPTION,
                    "AssumeRolePolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [{**trust, "Condition": condition}],
                    },
                    "Policies": [{"PolicyName": "chequr-evidence", "PolicyDocument": grants(types)}],
                },
            }
        },
        "Outputs": {"RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
    }


def _is_given(value: dict[str, Any]) -> dict[str, Any]:
    return {"Fn::Not": [{"Fn::Equals": [value, ""]}]}


def _sends(external_id: Any) -> dict[str, Any]:
    return {"StringEquals": {"sts:ExternalId": external_id}}


def terraform(types: Sequence[EvidenceType[Any]]) -> str:
    """The same in HCL: a role and, with organizational units, the StackSet that puts it into all their accounts."""
    body = json.dumps(_template(types), indent=2)
    return _HCL.format(
        description=json.dumps(_DESCRIPTION),
        principal=json.dumps(_PRINCIPAL),
        external_id=json.dumps(_EXTERNAL_ID),
        role=json.dumps(_ROLE),
        units=json.dumps(_UNITS),
        policy=json.dumps(grants(types), indent=2).replace("\n", "\n  "),
        template=body,
    )


_HCL = """\
variable "principal" {{
  type        = string
  description = {principal}
}}

variable "external_id" {{
  type        = string
  default     = ""
  description = {external_id}
}}

variable "role_name" {{
  type        = string
  default     = "chequr-evidence"
  description = {role}
}}

variable "organizational_units" {{
  type        = list(string)
  default     = []
  description = {units}
}}

data "aws_region" "here" {{}}

resource "aws_iam_role" "chequr_evidence" {{
  name        = var.role_name
  description = {description}

  assume_role_policy = jsonencode({{
    Version = "2012-10-17"
    Statement = [merge(
      {{ Effect = "Allow", Principal = {{ AWS = var.principal }}, Action = "sts:AssumeRole" }},
      var.external_id == "" ? {{}} : {{ Condition = {{ StringEquals = {{ "sts:ExternalId" = var.external_id }} }} }}
    )]
  }})
}}

resource "aws_iam_role_policy" "chequr_evidence" {{
  name = "chequr-evidence"
  role = aws_iam_role.chequr_evidence.id

  policy = <<-POLICY
  {policy}
  POLICY
}}

resource "aws_cloudformation_stack_set" "chequr_evidence" {{
  count            = length(var.organizational_units) > 0 ? 1 : 0
  name             = var.role_name
  description      = {description}
  permission_model = "SERVICE_MANAGED"
  capabilities     = ["CAPABILITY_NAMED_IAM"]

  auto_deployment {{
    enabled                          = true
    retain_stacks_on_account_removal = false
  }}

  parameters = {{
    Principal  = var.principal
    ExternalId = var.external_id
    RoleName   = var.role_name
  }}

  template_body = <<-TEMPLATE
{template}
  TEMPLATE
}}

resource "aws_cloudformation_stack_set_instance" "chequr_evidence" {{
  count          = length(var.organizational_units) > 0 ? 1 : 0
  stack_set_name = aws_cloudformation_stack_set.chequr_evidence[0].name
  region         = data.aws_region.here.name

  deployment_targets {{
    organizational_unit_ids = var.organizational_units
  }}
}}

output "role_arn" {{
  value = aws_iam_role.chequr_evidence.arn
}}
"""
