"""From answers and scores to preference pairs."""

from pairwright.guard import check_packages

check_packages()
