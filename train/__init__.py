"""Thin: tables to TRL and back: sft, dpo, eval, merge."""

from pairwright.guard import check_packages

check_packages()
