"""The controls of a new workspace: one for each evidence type that the agent began with, and some beside.

Four are met by hand, with files (`manual`), two by tools that no collector reads.
"""

_PRIYA, _MARTA, _JONAS, _AIKO = (
    ("usr_42", "Priya Desai"),
    ("usr_17", "Marta Lindqvist"),
    ("usr_23", "Jonas Weber"),
    ("usr_8", "Aiko Tanaka"),
)

# id, framework, code, name, owner, cadence, evaluator
CONTROLS = (
    ("ctrl_ac_02", "soc2", "CC6.1", "Logical access restriction", _PRIYA, "daily", "aws_s3_bucket_encryption"),
    ("ctrl_ac_03", "gdpr", "Art. 32(1)(b)", "Storage closed to the public", _PRIYA, "daily",
     "aws_s3_bucket_public_access"),
    ("ctrl_ac_04", "pci_dss", "8.3.6", "Password length and complexity", _PRIYA, "daily", "aws_iam_password_policy"),
    ("ctrl_ac_05", "pci_dss", "8.4.2", "Multi-factor authentication of cloud users", _PRIYA, "daily",
     "aws_iam_user_mfa"),
    ("ctrl_ac_06", "iso_27001", "A.8.2", "Privileged access rights", _PRIYA, "daily", "aws_iam_root_account"),
    ("ctrl_ac_07", "hipaa", "164.308(a)(3)(ii)(C)", "Termination procedures", _MARTA, "daily", "okta_user_lifecycle"),
    ("ctrl_ac_08", "hipaa", "164.312(d)", "Person or entity authentication", _MARTA, "daily", "okta_user_mfa"),
    ("ctrl_ac_09", "nist_csf", "PR.AA-03", "Authentication of users and services", _MARTA, "weekly",
     "okta_password_policy"),
    ("ctrl_ac_10", "iso_27001", "A.8.5", "Secure authentication to source code", _JONAS, "daily",
     "github_org_two_factor"),
    ("ctrl_bc_03", "soc2", "A1.3", "Restore test", _JONAS, "quarterly", "manual"),
    ("ctrl_cm_03", "soc2", "CC8.1", "Protected branches", _JONAS, "daily", "github_branch_protection"),
    ("ctrl_cm_04", "soc2", "CC7.1", "Change management review", _JONAS, "daily", "github_pull_request_reviews"),
    ("ctrl_cr_01", "iso_27001", "A.8.24", "Use of cryptography", _AIKO, "weekly", "aws_kms_key_rotation"),
    ("ctrl_ep_01", "gdpr", "Art. 32(1)(a)", "Encryption of laptops", _AIKO, "weekly", "jamf_computer_encryption"),
    ("ctrl_gv_01", "nist_csf", "GV.PO-01", "Security policies", _AIKO, "yearly", "manual"),
    ("ctrl_hr_01", "hipaa", "164.308(a)(5)(i)", "Security awareness and training", _MARTA, "yearly", "manual"),
    ("ctrl_lg_01", "iso_27001", "A.8.15", "Logging of cloud activity", _AIKO, "daily", "aws_cloudtrail_trails"),
    ("ctrl_nw_01", "nist_csf", "PR.IR-01", "Networks closed to the outside", _AIKO, "daily",
     "aws_vpc_security_group_ingress"),
    ("ctrl_pr_01", "gdpr", "Art. 30(1)", "Records of processing activities", _MARTA, "quarterly",
     "onetrust_processing_records"),
    ("ctrl_vm_02", "pci_dss", "11.4.3", "External penetration test", _AIKO, "yearly", "manual"),
)  # fmt: skip

TESTED = {"ctrl_ac_02": "2026-04-14T22:03:11Z", "ctrl_cm_04": "2026-04-14T21:58:02Z"}
"""Controls that were passing before the workspace was looked at first."""
