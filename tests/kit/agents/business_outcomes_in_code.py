# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Calls that reach an outcome, instrumented in code."""

from business_outcomes import make_server
from callspan import instrument
from kit.call_gate import serve

instrument()

if __name__ == "__main__":
    serve(make_server())
