"""The dataset directory: tables, runs, lineage, ids."""
