"""`python -m pairwright`, for where the programs are not on the path."""

import sys

from pairwright.programs import pairwright

if __name__ == "__main__":
    sys.argv[0] = "pairwright"
    pairwright()
