"""The GraphQL queries of how code changes and is released. The tests check each against GitHub's published schema."""

from collectors.github.graphql import Query
from collectors.github.queries import CONTENTS
from collectors.github.targets import METADATA

ACTIONS = "actions:read"
DEPLOYMENT_LOG = "deployments:read"

CODE_OWNERS = Query(
    "CodeOwners",
    """
query CodeOwners($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        nameWithOwner
        databaseId
        visibility
        isArchived
        isFork
        planFeatures { codeowners }
        defaultBranchRef { name }
        codeowners { errors { line column kind } }
        github: object(expression: "HEAD:.github/CODEOWNERS") { ...File }
        root: object(expression: "HEAD:CODEOWNERS") { ...File }
        docs: object(expression: "HEAD:docs/CODEOWNERS") { ...File }
      }
    }
  }
}
fragment File on GitObject {
  __typename
  oid
  ... on Blob { text isTruncated }
}
""",
    METADATA,
    {"codeowners": CONTENTS, "github": CONTENTS, "root": CONTENTS, "docs": CONTENTS},
)

_DEPLOYMENT = """
fragment Made on Deployment {
  databaseId
  environment
  task
  commitOid
  createdAt
  state
  ref { name }
  creator { __typename login }
  statuses(first: 50) {
    totalCount
    nodes {
      state
      createdAt
      creator { __typename login }
    }
  }
}
"""

DEPLOYMENTS = Query(
    "Deployments",
    """
query Deployments($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        nameWithOwner
        databaseId
        visibility
        isArchived
        isFork
        environments(first: 1) { totalCount }
        deployments(first: 20, orderBy: {field: CREATED_AT, direction: DESC}) {
          pageInfo { hasNextPage }
          nodes { ...Made }
        }
      }
    }
  }
}
"""
    + _DEPLOYMENT,
    METADATA,
    {"environments": ACTIONS, "deployments": DEPLOYMENT_LOG},
)

REPOSITORY_DEPLOYMENTS = Query(
    "RepositoryDeployments",
    """
query RepositoryDeployments($owner: String!, $repo: String!, $first: Int!, $after: String) {
  repository(owner: $owner, name: $repo, followRenames: false) {
    deployments(first: $first, after: $after, orderBy: {field: CREATED_AT, direction: DESC}) {
      pageInfo { hasNextPage endCursor }
      nodes { ...Made }
    }
  }
}
"""
    + _DEPLOYMENT,
    DEPLOYMENT_LOG,
    {},
)

RELEASES = Query(
    "Releases",
    """
query Releases($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        nameWithOwner
        databaseId
        visibility
        isArchived
        isFork
        releases(first: 20, orderBy: {field: CREATED_AT, direction: DESC}) {
          pageInfo { hasNextPage }
          nodes { createdAt publishedAt }
        }
      }
    }
  }
}
""",
    METADATA,
    {"releases": CONTENTS},
)
