"""How well a judge agrees with human annotators: metrics, audits and their page."""
