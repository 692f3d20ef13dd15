# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""The Grafana dashboards: what is committed is what is generated, and every query has an answer.

The answers come from a real Prometheus that has scraped two real workers through six real calls.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from backends.dashboard_calls import AGENT, NEW, OLD, Filled, filled_prometheus
from backends.dashboard_pictures import PICTURED, picture
from backends.dashboard_svg import Drawn, draw
from backends.grafana import COMMITTED, Dashboard, Line, Target, View, dashboards
from kit.prometheus import Programs, PrometheusUnavailableError, find

# the first query waits for the calls
pytestmark = pytest.mark.timeout(400)

DASHBOARDS = {dashboard.name: dashboard for dashboard in dashboards()}
TARGETS = [
    target
    for dashboard in DASHBOARDS.values()
    for panel in dashboard.panels
    for target in dashboard.targets(panel)
]
OLD_CALLS = ("call-books-1", "call-tool-fails-1", "call-hangs-up-1")
NEW_CALLS = ("call-books-2", "call-asks-2", "call-interrupts-2")
"""Two appointments are booked; a tool fails once; the model of one call is out of order."""
CALLS = len(OLD_CALLS) + len(NEW_CALLS)

SEEDS_PANELS = {
    "Session volume and outcomes": "timeseries",
    "Conversion rate: $conversion": "timeseries",
    "Session duration distribution": "bargauge",
    "Turn latency percentiles": "timeseries",
    "Tool call reliability": "timeseries",
}
"""Those of LiveKit's chapter on custom metrics."""
DOCS = COMMITTED.parents[2] / "docs"


# --- the files ---------------------------------------------------------------------------------


def test_what_is_committed_is_what_is_generated(tmp_path: Path) -> None:
    """Neither was changed without the other: make dashboards."""
    generator = COMMITTED.parent / "generate.py"
    subprocess.run([sys.executable, generator, tmp_path], check=True, timeout=60)
    generated = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert generated == {path.name: path.read_text() for path in COMMITTED.iterdir()}


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=lambda each: each.name)
def test_every_panel_explains_itself(dashboard: Dashboard) -> None:
    """It has a title, a meaning and a unit, and asks the data source that is chosen above."""
    for panel in dashboard.panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=lambda each: each.name)
def test_no_panel_lies_on_another(dashboard: Dashboard) -> None:
    """Within the 24 columns, each place is taken once; each panel has a number of its own."""
    taken = [
        (x, y)
        for panel in dashboard.json["panels"]
        for place in (panel["gridPos"],)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
    numbers = [panel["id"] for panel in dashboard.json["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_business_dashboard_has_the_panels_of_livekits_chapter() -> None:
    """All five, under the names they have there."""
    types = {panel["title"]: panel["type"] for panel in DASHBOARDS["business"].panels}
    assert types.items() >= SEEDS_PANELS.items()


def test_a_variable_that_a_dashboard_does_not_have_is_noticed() -> None:
    """A query with one would reach Prometheus with a dollar sign in it."""
    target = TARGETS[0]
    with pytest.raises(KeyError, match="tenant"):
        DASHBOARDS[target.dashboard].filled("sum(up{tenant='$tenant'})", target, View(0, 60))


# --- the queries -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programs() -> Programs:
    """Prometheus and promtool.

    Where they are missing, a user's run skips and a run under CI fails: there, a skip would hide
    that nothing was tested.
    """
    try:
        return find()
    except PrometheusUnavailableError as problem:
        if os.environ.get("CI"):
            pytest.fail(str(problem), pytrace=False)
        pytest.skip(str(problem))


@pytest.fixture(scope="module")
def filled(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A Prometheus that has seen both workers and all of their calls."""
    folder = tmp_path_factory.mktemp("prometheus")
    with filled_prometheus(programs, folder, OLD_CALLS, NEW_CALLS) as filled:
        yield filled


def half_an_hour(filled: Filled, **chosen: str) -> View:
    """Return the view of somebody who looks at the last half hour, just after the last call."""
    # a graph ends with a whole step: let that be after the call, too
    return View(filled.end - 1800, filled.end + 4, chosen)


def asked(filled: Filled, name: str, title: str, ref: str = "A", **chosen: str) -> list[Line]:
    """Return what a panel of a dashboard shows."""
    (target,) = (
        each for each in TARGETS if (each.dashboard, each.panel, each.ref) == (name, title, ref)
    )
    return DASHBOARDS[name].evaluate(filled.prometheus, target, half_an_hour(filled, **chosen))


def last(lines: list[Line]) -> dict[str, float]:
    """Return the last value of each series, by its name."""
    return {line.name: line.points[-1][1] for line in lines if line.points}


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("agent", ["$__all", AGENT])
def test_every_query_has_an_answer(filled: Filled, target: Target, agent: str) -> None:
    """Of all agents, and of one; Prometheus reports no error, and not only what is no number."""
    view = half_an_hour(filled, agent_name=agent)
    lines = DASHBOARDS[target.dashboard].evaluate(filled.prometheus, target, view)
    assert any(line.points for line in lines)


def test_of_an_agent_that_is_not_there_nothing_is_shown(filled: Filled) -> None:
    """No panel adds up what was not chosen."""
    assert asked(filled, "business", "Calls today", agent_name="nobody") == []


def test_the_choices_above_a_dashboard_are_there(filled: Filled) -> None:
    """Grafana fills the list of agents from this label."""
    assert filled.prometheus.get(
        "label/agent_name/values", **{"match[]": "agent_sessions_total"}
    ) == [AGENT]


def test_today_counts_every_call_and_every_booking(filled: Filled) -> None:
    """A counter's first increase included; increase() extrapolates by a second's worth."""
    assert last(asked(filled, "business", "Calls today")) == {
        "calls": pytest.approx(CALLS, rel=0.05)
    }
    assert last(asked(filled, "business", "Today: $conversion")) == {
        "bookings": pytest.approx(2, rel=0.05)
    }


def test_the_conversion_is_chosen_by_its_name(filled: Filled) -> None:
    """One that nobody declared has no figure, rather than another's."""
    assert last(asked(filled, "business", "Conversion")) == {
        "bookings": pytest.approx(2 / CALLS, rel=0.05)
    }
    assert asked(filled, "business", "Conversion", conversion="sales") == []


def test_volume_is_per_minute(filled: Filled) -> None:
    """Calls of the five minutes before, by five."""
    volume = last(asked(filled, "business", "Session volume and outcomes"))
    assert sum(volume.values()) == pytest.approx(CALLS / 5, rel=0.05)
    assert volume["booking"] == pytest.approx(2 / 5, rel=0.05)


def test_durations_are_of_every_call(filled: Filled) -> None:
    """The first call of an outcome and an intent on a worker is not lost."""
    buckets = {
        line.labels["le"]: line.points[-1][1]
        for line in asked(filled, "business", "Session duration distribution")
    }
    assert buckets["+Inf"] == pytest.approx(CALLS)
    lasted = {
        span.attributes["agent.session.duration"]: span.attributes["agent.outcome"]
        for span in filled.spans
        if span.name == "job_entrypoint"
    }
    of_outcome: dict[str, list[float]] = {}
    for seconds, outcome in lasted.items():
        of_outcome.setdefault(outcome, []).append(seconds)
    assert last(asked(filled, "business", "Mean duration by outcome")) == {
        outcome: pytest.approx(sum(each) / len(each), rel=1e-6)
        for outcome, each in of_outcome.items()
    }
    by_intent = last(asked(filled, "business", "Mean duration by $label"))
    assert by_intent.keys() == {"booking", "change", "question"}


def test_the_share_of_short_and_of_long_calls_is_that_of_the_calls(filled: Filled) -> None:
    """Over the hour before, whatever their outcome."""
    lasted = [
        span.attributes["agent.session.duration"]
        for span in filled.spans
        if span.name == "job_entrypoint"
    ]
    title = "Very short and very long calls"
    under = sum(seconds <= 30 for seconds in lasted) / CALLS
    assert last(asked(filled, "business", title)) == {"under 30 s": pytest.approx(under)}
    assert last(asked(filled, "business", title, "B")) == {"over 10 min": 0}


def test_a_persons_cost_is_what_is_typed_in(filled: Filled) -> None:
    """Beside the agent's own, which does not change with it."""
    title = "Cost per call, beside a person's"
    (cheap,) = last(asked(filled, "business", title, "B")).items()
    (dear,) = last(asked(filled, "business", title, "B", human_cost_per_hour="30")).items()
    assert cheap[0] == "a person at $15 an hour"
    assert dear[0] == "a person at $30 an hour"
    assert dear[1] == pytest.approx(2 * cheap[1])
    agents = last(asked(filled, "business", title))["agent"]
    assert 0 < agents < cheap[1]


def test_money_is_not_lost_with_the_first_call(filled: Filled) -> None:
    """Two cleanings at 90 dollars, over all calls; what was spent is what the counters hold."""
    assert last(asked(filled, "business", "Revenue per call")) == {
        "USD": pytest.approx(2 * 90 / CALLS, rel=0.05)
    }
    (spent,) = filled.prometheus.series("sum(agent_cost_dollars_total)").values()
    assert last(asked(filled, "cost", "Cost today")) == {"cost": pytest.approx(spent)}


def test_each_tool_has_its_errors(filled: Filled) -> None:
    """One of three bookings was refused."""
    share = last(asked(filled, "tools", "Share of calls that fail, per tool"))
    assert share == {
        "book_appointment": pytest.approx(1 / 3, rel=0.05),
        "check_availability": 0,
    }


def test_a_provider_that_fails_is_named(filled: Filled) -> None:
    """The first of its errors is shown, too."""
    errors = asked(filled, "tools", "Errors by what came of them")
    assert all(line.points[-1][1] >= 1 for line in errors)
    assert {(line.labels["component"], line.labels["error_type"]) for line in errors} == {
        ("llm", "APIStatusError")
    }


def test_stages_add_up_to_the_latency(filled: Filled) -> None:
    """Those of the graph to the mean of the histogram, with a window that all calls lie in."""
    stages = last(asked(filled, "voice", "What a turn's latency consists of", window="1h"))
    (mean,) = filled.prometheus.series(
        "sum(agent_turn_latency_seconds_sum) / sum(agent_turn_latency_seconds_count)"
    ).values()
    assert sum(stages.values()) == pytest.approx(mean)


@pytest.mark.parametrize("title", ["Turn latency percentiles", "Turn latency, every turn"])
def test_a_point_of_a_graph_leads_to_the_turn_that_it_is_of(filled: Filled, title: str) -> None:
    """Its trace is a call's, and its span a turn of the agent in it."""
    dashboard = DASHBOARDS["voice"]
    target = next(each for each in TARGETS if (each.dashboard, each.panel) == ("voice", title))
    assert target.exemplar
    exemplars = dashboard.exemplars(filled.prometheus, target, half_an_hour(filled))
    turns = {(span.trace_id, span.span_id) for span in filled.spans if span.name == "agent_turn"}
    assert exemplars
    assert {(each.trace_id, each.span_id) for each in exemplars} <= turns


@pytest.mark.parametrize("ref", "ABCDEFG")
def test_releases_stand_side_by_side(filled: Filled, ref: str) -> None:
    """Each column of the table has a figure of both."""
    figures = {
        line.labels["service_version"]: line.points[-1][1]
        for line in asked(filled, "workers", "Each release", ref)
    }
    assert figures.keys() == {OLD, NEW}
    if ref == "A":
        assert figures == {OLD: pytest.approx(3, rel=0.05), NEW: pytest.approx(3, rel=0.05)}


# --- the pictures ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PICTURED)
def test_a_picture_shows_every_panel_and_says_who_drew_it(filled: Filled, name: str) -> None:
    """As text, so that it can be searched; nobody takes it for a screenshot of Grafana."""
    drawn = picture(name, filled, half_an_hour(filled), CALLS)
    texts = [each.text or "" for each in ElementTree.fromstring(drawn).findall(".//{*}text")]
    titles = [
        panel["title"].replace("$conversion", "bookings") for panel in DASHBOARDS[name].panels
    ]
    assert set(texts) >= {title.replace("$label", "intent") for title in titles}
    assert any("real query results by a small renderer, not by Grafana" in text for text in texts)


def test_the_rows_of_a_heat_map_are_named_where_there_is_room() -> None:
    """Of a histogram of many buckets, no name stands in another."""
    (panel,) = (each for each in DASHBOARDS["voice"].panels if each["type"] == "heatmap")
    bounds = [*map(str, range(1, 26)), "+Inf"]
    lines = [Line(le, {"le": le}, [(15, at), (30, 2 * at)]) for at, le in enumerate(bounds)]
    drawn = draw([Drawn(panel, "", lines)], [], View(0, 30), "")
    names = {
        text.text: float(text.attrib["y"])
        for text in ElementTree.fromstring(drawn).findall(".//{*}text")
        if (text.text or "").endswith(" s")
    }
    heights = sorted(names.values())
    assert "1 s" in names
    assert len(names) >= 8
    assert min(below - above for above, below in pairwise(heights)) >= 11


@pytest.mark.parametrize("name", PICTURED)
def test_the_readmes_picture_is_of_todays_dashboard(name: str) -> None:
    """Whoever changes a panel's title draws it anew: make picture-dashboards."""
    committed = ElementTree.parse(DOCS / f"dashboard-{name}.svg")
    texts = {each.text for each in committed.findall(".//{*}text")}
    titles = [
        panel["title"].replace("$conversion", "bookings") for panel in DASHBOARDS[name].panels
    ]
    assert texts >= {title.replace("$label", "intent") for title in titles}
