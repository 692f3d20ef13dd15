# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""From events to numbers that add up: what short-lived job processes record, as one state.

A counter in a process that lives for one call reaches 1 and dies. So each job process sends what
it recorded, as deltas, over a socket to its worker's main process, which adds it up and exposes
it, live, at a cost that does not grow with the calls that have passed::

    job process                                  worker's main process
    RowReader ──► Relay ══ frames, socketpair ══► Aggregator ──► State ──► StateCollector (scrape)
                                                                    └────► MetricPusher (OTLP …)

In the worker's main process::

    aggregator = Aggregator()
    end = aggregator.add_process()        # into the arguments of each job process
    aggregator.state.add(own_row(semconv.M_SESSIONS, labels, 0))         # seeds a series
    resource = with_instance_id(resource)
    StateCollector(aggregator.state, resource).register()     # in prometheus_client's registry
    endpoint = ScrapeEndpoint()                               # raises EndpointError
    MetricPusher(aggregator.state, resource, exporter)        # one for each exporter

In a job process; and in the main process too, for the thread executor, the console and the
worker's own instruments, with ``Relay(aggregator.add_process(), …)``::

    own = DeltaAccumulator()              # what is recorded on metrics of ours
    relay = Relay(end, [own])
    others = RowReader(repair=True)       # added to the global one: add_metric_reader(others);
                                          # if we build it: views=[without_per_call_attributes()]
    relay.add_reader(others)
    relay.call_opened(call_id, crash_rows=[own_row(semconv.M_SESSIONS, labels), …], record=…)
    relay.send_now()                      # a turn, a tool, a conversion is complete
    relay.call_closed(call_id, record=…)
    relay.flush(timeout_s)                # at the end of the job
    relay.close(timeout_s)                # at the end of the process

At the worker's shutdown, in this order: the main process's own ``relay.close``, then
``aggregator.drain``, then ``push.close`` and ``endpoint.close``, then ``aggregator.close``.
"""
