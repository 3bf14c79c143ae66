"""Scripts for the people who work on this repository; not part of the package."""
