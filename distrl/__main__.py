"""The command `distrl`, as `python -m distrl`."""

import sys

from distrl.cli.main import main

sys.exit(main())
