"""Rows in, decisions out: ingest, embed, dedup, filter, export, push."""

from pairwright.guard import check_packages

check_packages()
