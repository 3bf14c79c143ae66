"""Rows in, decisions out: ingest, embed, dedup, filter, export, push."""

import pairwright as pairwright  # finds our packages, whatever is on the path
