# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0
"""What the scripted chat server answers in the demo: the receptionist's half of the dialogue.

It follows what was heard and what the tools returned, as a model would, and asks again where it
understands nothing. The delays are in the range of a small hosted model.
"""

from __future__ import annotations

from offline.llm_server import Reply, Rule, Script, ToolCall

_THINKING = 0.35
_THINKING_TOO_LONG = 8.0
"""Nobody waits so long on a telephone."""
_PER_TOKEN = 0.03


def _reply(text: str, thinking: float = _THINKING) -> Reply:
    return Reply(text, first_token_delay=thinking, token_delay=_PER_TOKEN)


def _call(name: str, **arguments: str) -> Reply:
    call = ToolCall(name, arguments)
    return Reply(tool_calls=(call,), first_token_delay=_THINKING, token_delay=_PER_TOKEN)


_PRICE = _reply("A cleaning is ninety dollars. Can I help with more?")

RECEPTIONIST = Script(
    [
        Rule(_reply("Bright Smile Dental, good morning. How can I help you?"), user="^$"),
        Rule(
            _reply("Tomorrow I have nine, ten and eleven. Which one would you like?"),
            tool="check_availability",
            result="ten",
        ),
        Rule(
            _reply("On Friday there is three in the afternoon. Shall I take it?"),
            tool="check_availability",
            result="three",
        ),
        Rule(
            _reply("You are booked, tomorrow at ten. Is there anything else?"),
            tool="book_appointment",
            result="booked",
        ),
        Rule(
            _reply("I am sorry, I cannot reach our appointment book. We will call you back."),
            tool="book_appointment",
        ),
        Rule(_PRICE, tool="look_up_price"),
        Rule(_reply("You are welcome. Goodbye!"), user="thank you"),
        Rule(_reply("On Saturday we are open from ten until noon."), user="saturday"),
        Rule(
            _reply(
                "We are open from nine in the morning until five in the afternoon, from Monday "
                "to Thursday. On Friday we open at ten and close at four. On Saturday we are "
                "open from ten until noon, and on Sunday we are closed."
            ),
            user="opening hours",
        ),
        Rule(_reply("We open at nine in the morning, every weekday."), user="when do you open"),
        Rule(
            _call("look_up_price", treatment="cleaning"), user="how much", offered="look_up_price"
        ),
        Rule(_PRICE, user="how much"),
        Rule(
            _reply(
                "Of course. Tell me your name, please, and the day of the appointment you have.",
                thinking=_THINKING_TOO_LONG,
            ),
            user="change my appointment",
        ),
        Rule(_call("book_appointment", day="friday", time="three"), user="friday at three"),
        Rule(_call("book_appointment", day="tomorrow", time="ten"), user="ten in the morning"),
        Rule(_call("check_availability", day="friday"), user="friday"),
        Rule(_call("check_availability", day="tomorrow"), user="tomorrow"),
        Rule(_reply("I am sorry, I did not understand. Could you say that again?")),
    ]
)
