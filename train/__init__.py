"""Thin: tables to TRL and back: sft, dpo, eval, merge."""

import pairwright as pairwright  # finds our packages, whatever is on the path
