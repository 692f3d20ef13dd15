# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Every name that this package emits or reads from LiveKit; no other module may spell one."""

from __future__ import annotations

from .content import *  # noqa: F403
from .labels import *  # noqa: F403
from .langfuse import *  # noqa: F403
from .livekit import *  # noqa: F403
from .logs import *  # noqa: F403
from .metrics import *  # noqa: F403
from .spans import *  # noqa: F403
from .usage import *  # noqa: F403
