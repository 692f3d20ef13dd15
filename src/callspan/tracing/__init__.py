# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Spans: what a call adds to them, the stage LiveKit lacks, and what exporters get to see."""
