# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What the doctor looks at: one module for each matter, each a function that returns verdicts."""
