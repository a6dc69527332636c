"""Reads metrics from standard input with Prometheus' own parsers, and writes them as JSON. The first line has the media type."""

import json
import sys

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as prometheus

parsers = {
    "application/openmetrics-text; version=1.0.0; charset=utf-8": openmetrics,
    "text/plain; version=0.0.4; charset=utf-8": prometheus,
}
parser = parsers[sys.stdin.readline().rstrip("\n")]
families = [
    {
        "name": family.name,
        "type": family.type,
        "unit": family.unit,
        "help": family.documentation,
        "samples": [[sample.name, sample.labels, sample.value] for sample in family.samples],
    }
    for family in parser.text_string_to_metric_families(sys.stdin.read())
]
json.dump(families, sys.stdout)
