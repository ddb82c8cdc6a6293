"""The GraphQL queries. Each is checked against GitHub's published schema in the tests."""

from collectors.github.graphql import Query

METADATA = "metadata:read"
ADMINISTRATION = "administration:read"
PULL_REQUESTS = "pull_requests:read"
CONTENTS = "contents:read"
CHECKS = "checks:read"
STATUSES = "statuses:read"

DEFAULT_BRANCHES = Query(
    "DefaultBranches",
    """
query DefaultBranches($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        databaseId
        nameWithOwner
        visibility
        isArchived
        isFork
        viewerCanAdminister
        rulesets(first: 20, includeParents: true, targets: [BRANCH]) {
          totalCount
          nodes {
            id
            databaseId
            name
            source {
              __typename
              ... on Repository { nameWithOwner }
              ... on Organization { login }
              ... on Enterprise { slug }
            }
            bypassActors(first: 50) {
              totalCount
              nodes {
                bypassMode
                deployKey
                enterpriseOwner
                organizationAdmin
                repositoryRoleName
                actor {
                  __typename
                  ... on App { slug }
                  ... on Team { combinedSlug }
                }
              }
            }
          }
        }
        defaultBranchRef {
          name
          rules(first: 100) {
            totalCount
            nodes {
              type
              repositoryRuleset { id }
              parameters {
                __typename
                ... on PullRequestParameters {
                  requiredApprovingReviewCount
                  dismissStaleReviewsOnPush
                  requireCodeOwnerReview
                  requireLastPushApproval
                  requiredReviewThreadResolution
                }
                ... on RequiredStatusChecksParameters {
                  strictRequiredStatusChecksPolicy
                  requiredStatusChecks { context }
                }
                ... on RequiredDeploymentsParameters { requiredDeploymentEnvironments }
              }
            }
          }
          branchProtectionRule {
            databaseId
            pattern
            isAdminEnforced
            requiresApprovingReviews
            requiredApprovingReviewCount
            dismissesStaleReviews
            requiresCodeOwnerReviews
            requireLastPushApproval
            requiresConversationResolution
            requiresStatusChecks
            requiresStrictStatusChecks
            requiredStatusChecks { context }
            requiresDeployments
            requiredDeploymentEnvironments
            requiresCommitSignatures
            requiresLinearHistory
            allowsForcePushes
            allowsDeletions
            blocksCreations
            restrictsPushes
            lockBranch
            bypassPullRequestAllowances(first: 50) { totalCount nodes { actor { ...Allowed } } }
            bypassForcePushAllowances(first: 50) { totalCount nodes { actor { ...Allowed } } }
          }
        }
      }
    }
  }
}
fragment Allowed on BranchActorAllowanceActor {
  __typename
  ... on User { login }
  ... on Team { combinedSlug }
  ... on App { slug }
}
""",
    METADATA,
    {"branchProtectionRule": ADMINISTRATION},
)

MERGED_PULL_REQUESTS = Query(
    "MergedPullRequests",
    """
query MergedPullRequests($search: String!, $first: Int!, $after: String) {
  search(query: $search, type: ISSUE, first: $first, after: $after) {
    issueCount
    pageInfo { hasNextPage endCursor }
    nodes {
      __typename
      ... on PullRequest {
        id
        number
        url
        title
        createdAt
        mergedAt
        baseRefName
        headRefOid
        author { __typename login }
        mergedBy { __typename login }
        mergeCommit { oid }
        repository {
          nameWithOwner
          isArchived
          isFork
          defaultBranchRef { name }
        }
        reviews(last: 100, states: [APPROVED, CHANGES_REQUESTED, DISMISSED]) {
          totalCount
          nodes {
            state
            submittedAt
            author { __typename login }
            commit { oid }
          }
        }
        commits(last: 1) {
          nodes {
            commit {
              oid
              statusCheckRollup {
                contexts(first: 100) {
                  totalCount
                  nodes {
                    __typename
                    ... on CheckRun { name status conclusion completedAt }
                    ... on StatusContext { context state createdAt }
                  }
                }
              }
            }
          }
        }
      }
    }
  }
}
""",
    PULL_REQUESTS,
    {"commits": CONTENTS, "statusCheckRollup": CHECKS, "contexts": STATUSES},
)

LATEST_MERGES = Query(
    "LatestMerges",
    """
query LatestMerges($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes {
        nameWithOwner
        isArchived
        isFork
        pullRequests(first: 5, states: [MERGED], orderBy: {field: UPDATED_AT, direction: DESC}) {
          nodes { id number mergedAt }
        }
      }
    }
  }
}
""",
    PULL_REQUESTS,
    {},
)
