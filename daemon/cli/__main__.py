"""`python -m daemon.cli` is `spartoo-sync`."""

import sys

from daemon.cli import main

sys.exit(main())
