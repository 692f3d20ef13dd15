# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The same command where its script is not on the path: ``python -m callspan.cli``."""

from __future__ import annotations

import sys

from . import main

sys.exit(main())
