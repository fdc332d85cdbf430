"""`python -m distrl` is the command `distrl`."""

import sys

from distrl.search_path import settle_search_path

# `-m` has put the working directory before the standard library.
settle_search_path()

from distrl.cli.main import main  # noqa: E402

sys.exit(main())
