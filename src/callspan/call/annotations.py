# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""What an application said of one call."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from . import application_events
from .events import CallEvent


@dataclass(slots=True)
class CallAnnotations:
    """What the application said of one call.

    Attributes:
        outcome: The last that was said; empty for none.
        reason: Why; free text.
        conversions: What the call came to, in order.
        values: What that was worth, by conversion and currency.
        labels: Dimensions of the call.
        feedback: Scores, by kind.
        transferred: Whether the caller was passed on to a human.
        user_id: Whose call it is, as the application knows them.
        tenant_id: On whose behalf it was taken.
    """

    outcome: str = ""
    reason: str = ""
    conversions: list[str] = field(default_factory=list)
    values: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    labels: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, float] = field(default_factory=dict)
    transferred: bool = False
    user_id: str = ""
    tenant_id: str = ""

    def apply(self, event: CallEvent) -> None:
        """Take in what the application said, or what stands for it."""
        match event:
            case application_events.OutcomeSet():
                self.outcome, self.reason = event.outcome, event.reason
            case application_events.Converted():
                if event.name not in self.conversions:
                    self.conversions.append(event.name)
                if event.currency:
                    self.values[event.name, event.currency] += event.value
            case application_events.LabelSet():
                self.labels[event.name] = event.value
            case application_events.FeedbackGiven():
                self.feedback[event.kind] = event.score
            case application_events.Transferred():
                self.transferred = True
            case application_events.UserSet():
                self.user_id = event.user_id
            case application_events.TenantSet():
                self.tenant_id = event.tenant_id
            case _:
                pass
