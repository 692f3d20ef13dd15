# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""instrument() in the worker's setup function, which runs in job processes only."""

from __future__ import annotations

from short_call import make_server, serve


def setup(_: object) -> None:
    from callspan import instrument

    instrument()


server = make_server(setup=setup)

if __name__ == "__main__":
    serve(server)
