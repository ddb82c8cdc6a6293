"""The GraphQL queries about who may do what. The tests check each against GitHub's published schema."""

from collectors.github.graphql import Query
from collectors.github.member_queries import MEMBERS
from collectors.github.targets import METADATA

COLLABORATOR = """
        totalCount
        pageInfo { hasNextPage endCursor }
        edges {
          permission
          node { login databaseId }
          permissionSources {
            permission
            roleName
            source {
              __typename
              ... on Organization { login }
              ... on Repository { nameWithOwner }
              ... on Team { combinedSlug }
            }
          }
        }
"""

TEAM_MEMBER = """
        totalCount
        pageInfo { hasNextPage endCursor }
        edges { role node { login databaseId } }
"""

TEAM_REPOSITORY = """
        totalCount
        pageInfo { hasNextPage endCursor }
        edges { permission node { nameWithOwner visibility isArchived isFork } }
"""

REPOSITORY_ACCESS = Query(
    "RepositoryAccess",
    f"""
query RepositoryAccess($login: String!, $first: Int!, $after: String) {{
  organization(login: $login) {{
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {{field: NAME, direction: ASC}}) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{
        databaseId
        nameWithOwner
        visibility
        isArchived
        isFork
        collaborators(first: 100, affiliation: ALL) {{{COLLABORATOR}}}
      }}
    }}
  }}
}}
""",
    METADATA,
    {"permissionSources": MEMBERS},
)

COLLABORATORS = Query(
    "Collaborators",
    f"""
query Collaborators($owner: String!, $name: String!, $first: Int!, $after: String) {{
  repository(owner: $owner, name: $name) {{
    collaborators(first: $first, after: $after, affiliation: ALL) {{{COLLABORATOR}
        nodes {{ __typename }}
    }}
  }}
}}
""",
    METADATA,
    {"permissionSources": MEMBERS},
)

TEAMS = Query(
    "Teams",
    f"""
query Teams($login: String!, $first: Int!, $after: String) {{
  organization(login: $login) {{
    teams(first: $first, after: $after, orderBy: {{field: NAME, direction: ASC}}) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{
        databaseId
        slug
        combinedSlug
        name
        description
        privacy
        createdAt
        parentTeam {{ combinedSlug }}
        members(first: 100, membership: IMMEDIATE) {{{TEAM_MEMBER}}}
        repositories(first: 100) {{{TEAM_REPOSITORY}}}
      }}
    }}
  }}
}}
""",
    MEMBERS,
    {"repositories": METADATA},
)

TEAM_MEMBERS = Query(
    "TeamMembers",
    f"""
query TeamMembers($login: String!, $slug: String!, $first: Int!, $after: String) {{
  organization(login: $login) {{
    team(slug: $slug) {{
      members(first: $first, after: $after, membership: IMMEDIATE) {{{TEAM_MEMBER}
        nodes {{ __typename }}
      }}
    }}
  }}
}}
""",
    MEMBERS,
    {},
)

TEAM_REPOSITORIES = Query(
    "TeamRepositories",
    f"""
query TeamRepositories($login: String!, $slug: String!, $first: Int!, $after: String) {{
  organization(login: $login) {{
    team(slug: $slug) {{
      repositories(first: $first, after: $after) {{{TEAM_REPOSITORY}
        nodes {{ __typename }}
      }}
    }}
  }}
}}
""",
    MEMBERS,
    {"repositories": METADATA},
)
