# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The receptionist, instrumented in code, and a hook that prints what each call came to."""

from callspan import business, instrument
from speech import make_server, serve

instrument()


@business.on_call_end
def show(summary: business.CallSummary) -> None:
    # in one piece: other processes print, too
    print(f"SUMMARY {summary.to_json()}\n", end="", flush=True)


server = make_server()

if __name__ == "__main__":
    serve(server)
