"""The GraphQL queries of the security evidence types. The tests check each against GitHub's published schema."""

from collectors.github.graphql import Query
from collectors.github.selected import ADMINISTRATION
from collectors.github.targets import METADATA

VULNERABILITY_ALERTS = Query(
    "VulnerabilityAlerts",
    """
query VulnerabilityAlerts($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        nameWithOwner
        viewerCanAdminister
        hasVulnerabilityAlertsEnabled
      }
    }
  }
}
""",
    METADATA,
    {"hasVulnerabilityAlertsEnabled": ADMINISTRATION},
)

SECURITY_POLICIES = Query(
    "SecurityPolicies",
    """
query SecurityPolicies($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        nameWithOwner
        isSecurityPolicyEnabled
        securityPolicyUrl
      }
    }
  }
}
""",
    METADATA,
    {},
)

DEPLOY_KEYS = Query(
    "DeployKeys",
    """
query DeployKeys($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        nameWithOwner
        viewerCanAdminister
        deployKeys(first: 1) { totalCount }
      }
    }
  }
}
""",
    METADATA,
    {"deployKeys": ADMINISTRATION},
)
