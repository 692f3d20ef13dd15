# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The application that declares and reports business metrics, instrumented in code."""

from business_declarations import make_server, take_call
from callspan import instrument
from kit.call_gate import serve

instrument()

if __name__ == "__main__":
    serve(make_server(take_call))
