"""What every table is: columns, types, meaning, version. Declared once, imported by all.

The declarations are dataframely schemas in `schemas.tables`, imported on first use because
they pull in polars.
"""
