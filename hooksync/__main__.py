"""`python -m hooksync` is the same as `hooksync`."""

import sys

from hooksync.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
