"""``python -m jaxssl``: the command line where its script is not on the path."""

import sys

from jaxssl import cli

if __name__ == "__main__":
    sys.exit(cli.main())
