"""``python -m bench``: see ``tinyxp bench --help``."""

import sys

from tinyxp.commands.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
