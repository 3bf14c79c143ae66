"""What we ask a VLM about a sample: rubrics and scores."""

import pairwright as pairwright  # finds our packages, whatever is on the path
