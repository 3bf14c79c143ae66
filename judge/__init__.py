"""What we ask a VLM about a sample: rubrics and scores."""

from pairwright.guard import check_packages

check_packages()
