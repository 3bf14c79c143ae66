"""From responses and scores to preference pairs."""

import pairwright as pairwright  # finds our packages, whatever is on the path
