"""What can be seen, and where: evidence types for AWS, Okta, GitHub and a folder of files."""
