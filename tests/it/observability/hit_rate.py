"""Reads pairs of hits and misses from standard input, and writes the hit rates of the existing application."""

import json
import sys

pairs = json.load(sys.stdin)
json.dump([round(hits / (hits + misses), 4) if hits + misses else 0.0 for hits, misses in pairs], sys.stdout)
