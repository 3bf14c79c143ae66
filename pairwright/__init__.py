"""From raw vision-language rows to a better model: `import pairwright as pw`."""

from pairwright import names as names
from pairwright.errors import NameTakenError

if _found := names.foreign("schemas"):  # every other package is checked where it is asked for
    raise NameTakenError("schemas", _found)
