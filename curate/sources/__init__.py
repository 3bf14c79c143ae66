"""Sources of rows: reading files, telling their format, turning rows into drafts of samples."""
