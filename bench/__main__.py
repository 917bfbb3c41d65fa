"""``python -m bench`` in a checkout: the same as ``tinyxp bench``."""

import sys

from tinyxp.bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
