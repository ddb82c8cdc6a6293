"""The GraphQL queries about people. The tests check each against GitHub's published schema.

GraphQL tells what a person may do on the edge to them, not on the node, so that edges are asked for as nodes.
"""

from collectors.github.graphql import Query
from collectors.github.targets import METADATA

MEMBERS = "members:read"

ORGANIZATION_MEMBERS = Query(
    "OrganizationMembers",
    """
query OrganizationMembers($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    membersWithRole(first: $first, after: $after) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes: edges {
        role
        hasTwoFactorEnabled
        node { databaseId login }
      }
    }
  }
}
""",
    MEMBERS,
    {},
)

IDENTITY_PROVIDER = Query(
    "IdentityProvider",
    """
query IdentityProvider($login: String!) {
  viewer { login }
  organization(login: $login) {
    viewerCanAdminister
    samlIdentityProvider {
      issuer
      ssoUrl
      signatureMethod
      digestMethod
    }
  }
}
""",
    MEMBERS,
    {},
)

EXTERNAL_IDENTITIES = Query(
    "ExternalIdentities",
    """
query ExternalIdentities($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    samlIdentityProvider {
      externalIdentities(first: $first, after: $after) {
        totalCount
        pageInfo { hasNextPage endCursor }
        nodes {
          guid
          samlIdentity { nameId }
          scimIdentity { username }
          user { login }
        }
      }
    }
  }
}
""",
    MEMBERS,
    {},
)

OUTSIDE_COLLABORATORS = Query(
    "OutsideCollaborators",
    """
query OutsideCollaborators($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        nameWithOwner
        visibility
        isArchived
        isFork
        collaborators(first: 50, affiliation: OUTSIDE) {
          totalCount
          edges {
            permission
            node { databaseId login }
          }
        }
      }
    }
  }
}
""",
    METADATA,
    {},
)

REPOSITORY_OUTSIDE_COLLABORATORS = Query(
    "RepositoryOutsideCollaborators",
    """
query RepositoryOutsideCollaborators($owner: String!, $name: String!, $first: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    collaborators(first: $first, after: $after, affiliation: OUTSIDE) {
      pageInfo { hasNextPage endCursor }
      nodes: edges {
        permission
        node { databaseId login }
      }
    }
  }
}
""",
    METADATA,
    {},
)
