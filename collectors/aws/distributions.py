"""CloudFront's list of distributions, which several evidence types look at."""

from collections.abc import Iterator

from collectors.aws.targets import Account, Answer

PAGE = "100"


def distributions(account: Account) -> Iterator[Answer]:
    """Every distribution, as listed. Its pages lie within an element, where botocore's paging is of no help."""
    asked: Answer = {"MaxItems": PAGE}
    while True:
        page = account.read("cloudfront:ListDistributions", **asked)["DistributionList"]
        yield from page.get("Items") or ()
        if not page["IsTruncated"]:
            return
        asked = {"MaxItems": PAGE, "Marker": page["NextMarker"]}
