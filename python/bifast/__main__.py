"""`python -m bifast`: the same as the command `bifast`."""

from __future__ import annotations

import sys

from bifast.cli import main

sys.exit(main())
