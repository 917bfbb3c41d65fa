"""``python -m tinyxp`` is the command ``tinyxp``."""

import sys

from tinyxp.commands import main

if __name__ == "__main__":
    sys.exit(main())
