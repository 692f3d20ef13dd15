# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The receptionist, in a process whose time of day is set back by an hour in mid-call."""

import time

time_of_day = time.time
behind_s = 0.0


def set_time_of_day() -> float:
    return time_of_day() - behind_s


# before livekit-agents is imported: its events hold on to the function
time.time = set_time_of_day
time.time_ns = lambda: int(set_time_of_day() * 1e9)

from callspan import business  # noqa: E402
from speech_call_end_hook import serve, server  # noqa: E402


@business.on_turn
def set_back(turn: business.Turn) -> None:
    """Once the caller has spoken, before they are answered."""
    global behind_s
    if turn.speaker == "user":
        behind_s = 3600.0


if __name__ == "__main__":
    serve(server)
