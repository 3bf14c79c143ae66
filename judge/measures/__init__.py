"""Statistics of agreement and calibration."""
