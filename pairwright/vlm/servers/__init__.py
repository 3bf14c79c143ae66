"""Start and watch model servers."""
