"""``python -m albertkit``: the command line, for ``torchrun -m`` and where no script is installed."""

from __future__ import annotations

import sys

from albertkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
