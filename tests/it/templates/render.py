"""Renders Liquid as strictly as Spin: a value or filter that is not there is an error.

Reads `{"values": {…}, "sources": […]}` from standard input, and writes what the sources become."""

import json
import sys

from liquid import Environment, StrictUndefined

environment = Environment(undefined=StrictUndefined, strict_filters=True)
task = json.load(sys.stdin)
json.dump([environment.from_string(source).render(task["values"]) for source in task["sources"]], sys.stdout)
