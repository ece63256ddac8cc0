"""`python -m jmmrec` is `jmmrec`."""

import sys

from jmmrec.cli import main

if __name__ == "__main__":
    sys.exit(main())
