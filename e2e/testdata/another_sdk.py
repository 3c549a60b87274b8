"""OpenTelemetry's own SDK for Python beside balanceq: what it injects is followed, what balanceq writes it understands.

Without an argument it prints the headers of a new sampled span, with the span's ids. With "extract" it reads headers as a
JSON object a line, and prints what each names: trace-span-sampled. Ids are hexadecimal.
"""

import json
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

propagator = TraceContextTextMapPropagator()


def describe(context):
    return f"{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags.sampled}"


if sys.argv[1:] == ["extract"]:
    for line in sys.stdin:
        print(describe(trace.get_current_span(propagator.extract(json.loads(line))).get_span_context()))
else:
    with TracerProvider().get_tracer("publisher").start_as_current_span("publish") as span:
        headers = {}
        propagator.inject(headers)
        print(json.dumps({"headers": headers, "context": describe(span.get_span_context())}))
