"""How far a judge agrees with people: figures, audits and their page."""
