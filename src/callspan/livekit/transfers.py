# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls that were passed on to a human, cold by SIP or warm by LiveKit's workflow."""

from __future__ import annotations

from typing import Any

import wrapt

from ..diagnostics.guard import contained, guarded
from .observer import Observer
from .patches import MissingError, Patches

_WARM = "livekit.agents.beta.workflows.warm_transfer"


def patch(patches: Patches, observer: Observer) -> list[str]:
    """Observe transfers that succeed.

    Returns:
        What this version of livekit-agents has no place for, in plain words.
    """

    async def transferred(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        result = await wrapped(*args, **kwargs)
        with guarded("noting a transfer"):
            if _has_succeeded(result):
                observer.transferred()
        return result

    @contained("observing warm transfers")
    def wrap_warm(_: object) -> None:
        if patches.in_place:
            patches.wrap(_WARM, "WarmTransferTask._merge_calls", transferred)

    try:
        patches.wrap("livekit.api.sip_service", "SipService.transfer_sip_participant", transferred)
    except MissingError as error:
        return [str(error)]
    # optional and slow to import: wrapped if the application wants it, while we are active
    wrapt.register_post_import_hook(wrap_warm, _WARM)
    return []


def _has_succeeded(result: Any) -> bool:
    """Tell a transfer from an attempt, which does not raise where the server says how it ended."""
    if not getattr(result, "transfer_id", ""):
        # a merge of rooms, or a server that says nothing and raises if it fails
        return True
    from livekit.protocol.sip import SIPTransferStatus

    return bool(result.status == SIPTransferStatus.STS_TRANSFER_SUCCESSFUL)
