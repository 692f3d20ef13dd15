# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""Grafana dashboards, each built by the module of its name."""
