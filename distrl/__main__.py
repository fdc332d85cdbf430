"""`python -m distrl` is the command `distrl`."""

import sys

from distrl.cli.main import main

sys.exit(main())
