"""What the licenses of sources allow, judged by their names."""

from __future__ import annotations

import re
from typing import Final

# Identifiers of the Hub's list that datasets use.
_HUB_IDS: Final = {
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5",
    "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0",
    "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0",
    "cdla-permissive-2.0", "gfdl", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "odc-by", "odbl", "pddl",
    "unlicense", "openrail",
}  # fmt: skip
_ALIASES: Final = {
    "apache": "apache-2.0",
    "apache-license-2.0": "apache-2.0",
    "apache-2": "apache-2.0",
    "mit-license": "mit",
    "cc0": "cc0-1.0",
    "public-domain": "cc0-1.0",
}
_NONE: Final = {"", "unknown", "none", "null", "n/a", "na", "other", "unspecified", "not-stated"}
_RESTRICTED: Final = re.compile(
    r"\bnc\b|non-?commercial|research-(use-)?only|academic|proprietary|all-rights-reserved"
    r"|no-redistribution|confidential"
)


def hub_id(license: str | None) -> str:
    """Identifier of the Hub's list: `unknown` if there is none, `other` if it is not on it."""
    name = _slug(license)
    if name in _NONE:
        return "unknown"
    name = _ALIASES.get(name, name)
    return name if name in _HUB_IDS else "other"


def objection(license: str | None) -> str | None:
    """Why rows under this license should not be published as they are, if anything."""
    name = _slug(license)
    if name in _NONE:
        return "no license stated"
    return "no commercial use" if _RESTRICTED.search(name) else None


def _slug(license: str | None) -> str:
    return re.sub(r"[\s_/]+", "-", (license or "").strip().lower())
