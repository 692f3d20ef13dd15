# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What a conversation with a speech-to-speech model costs, in the Realtime API's own terms.

Audio is counted at the API's rates; text at four characters to a token, which is what English
comes to.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Tokens per second of audio.
_USER_AUDIO_TOKENS = 10
_ASSISTANT_AUDIO_TOKENS = 20


@dataclass(slots=True)
class Usage:
    """The tokens of a conversation so far, and how many of them a response finds cached.

    Attributes:
        prompt: Tokens of the instructions and tools, which every response reads.
        text: Tokens of text.
        audio: Tokens of audio.
        cached_text: Those of `prompt` and `text` that an earlier response has read.
        cached_audio: Those of `audio` that an earlier response has read.
    """

    prompt: int = 0
    text: int = 0
    audio: int = 0
    cached_text: int = 0
    cached_audio: int = 0

    def set_prompt(self, instructions: str | None, tools: list[Any] | None) -> None:
        """Replaces what every response reads; what changed is not cached any more."""
        before, self.prompt = self.prompt, text_tokens(instructions or "")
        self.prompt += text_tokens(json.dumps(tools)) if tools else 0
        if self.prompt != before:
            self.cached_text = self.cached_audio = 0

    def add_item(self, item: dict[str, Any]) -> None:
        """Adds what the client put into the conversation."""
        parts = [part.get("text") or "" for part in item.get("content", ())]
        self.text += text_tokens(
            " ".join([*parts, item.get("output") or "", item.get("arguments") or ""])
        )

    def heard(self, seconds: float) -> int:
        """Adds audio of the user; returns its tokens."""
        tokens = int(seconds * _USER_AUDIO_TOKENS)
        self.audio += tokens
        return tokens

    def of_response(self, said: str, audio_s: float, calls: Iterable[str]) -> dict[str, Any]:
        """Adds a response; returns what `response.done` says of it."""
        output_text = text_tokens(said) + sum(map(text_tokens, calls))
        output_audio = int(audio_s * _ASSISTANT_AUDIO_TOKENS)
        input_text = self.prompt + self.text
        usage = {
            "input_tokens": input_text + self.audio,
            "output_tokens": output_text + output_audio,
            "total_tokens": input_text + self.audio + output_text + output_audio,
            "input_token_details": {
                "text_tokens": input_text,
                "audio_tokens": self.audio,
                "image_tokens": 0,
                "cached_tokens": self.cached_text + self.cached_audio,
                "cached_tokens_details": {
                    "text_tokens": self.cached_text,
                    "audio_tokens": self.cached_audio,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": output_text, "audio_tokens": output_audio},
        }
        self.cached_text, self.cached_audio = input_text, self.audio
        self.text += output_text
        self.audio += output_audio
        return usage


def text_tokens(text: str) -> int:
    """Counts the tokens of a text."""
    return math.ceil(len(text.strip()) / 4)
