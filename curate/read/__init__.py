"""Reading of sources: files of any usual kind, rows of any usual format."""
