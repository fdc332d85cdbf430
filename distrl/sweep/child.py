"""The command of one run, which the kernel kills when the sweep that started it dies.

The sweep starts it as `python -m distrl.sweep.child PARENT ARGUMENTS`.
"""

import runpy
import sys

from distrl.children import die_with_parent


def main() -> None:
    """Runs `python -m distrl ARGUMENTS`."""
    die_with_parent(int(sys.argv.pop(1)))
    runpy.run_module("distrl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
