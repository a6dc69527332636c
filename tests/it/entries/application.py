"""How the existing application reads stored values, and which of these docs/entries.md has read here.

Takes {"id", "values"} from standard input: a connection, and values under its key. Writes for each value
{"read_as", "documented"}: the connection or null as JSON, with timestamps in UTC where they can be; and
whether every part of the value is as the document says, without a look at what the application does.
"""

import json
import math
import re
import sys
from datetime import datetime, timezone
from uuid import UUID

STATUSES = {"pending", "active", "expired", "revoked", "failed", "disconnected"}
CREDENTIAL_TYPES = {"oauth2", "api_key", "link_token", "certificate", "file_import", "custom"}
IDS = ("id", "user_id", "provider_id")
TIMES = ("connected_at", "last_sync_at", "created_at", "updated_at")


class Refused(Exception):
    """The value is none that is read."""


# The existing application: `json.loads`, then `UUID()`, `str()` and `datetime.fromisoformat()` of what is there.


def require(condition):
    if not condition:
        raise ValueError


def time(value):
    return None if value is None else datetime.fromisoformat(str(value))


def credentials(data):
    if not data or not isinstance(data, dict):
        return None
    expires_at = time(data.get("expires_at"))
    require(expires_at is None or expires_at.tzinfo is not None)
    encrypted_data = str(data["encrypted_data"])
    require(encrypted_data.encode())
    require(str(data["credential_type"]) in CREDENTIAL_TYPES)
    return {
        "encrypted_data": encrypted_data,
        "credential_type": str(data["credential_type"]),
        "expires_at": expires_at,
    }


def application(value):
    data = json.loads(value)
    read = {name: str(UUID(str(data[name]))) for name in IDS}
    read["provider_slug"] = str(data["provider_slug"])
    require(1 <= len(read["provider_slug"]) <= 50)
    read["status"] = str(data["status"])
    require(read["status"] in STATUSES)
    read["alias"] = str(data["alias"]) if data.get("alias") else None
    require(read["alias"] is None or len(read["alias"]) <= 100)
    read["credentials"] = credentials(data.get("credentials"))
    require(read["status"] != "active" or read["credentials"] is not None)
    read |= {name: time(data.get(name)) for name in TIMES}
    for name in ("created_at", "updated_at"):
        read[name] = read[name] or datetime.now()
    return read


# docs/entries.md.

HEX = "[0-9a-fA-F]"
HYPHENATED = f"{HEX}{{8}}(-{HEX}{{4}}){{3}}-{HEX}{{12}}"
UUIDS = re.compile(f"{HEX}{{32}}|(urn:uuid:)?{HYPHENATED}|{{{HYPHENATED}}}")
FRACTION = "([.,][0-9]+)?"
TIMESTAMPS = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt _]"
    f"([01][0-9]|2[0-3]):[0-9]{{2}}(:[0-9]{{2}}{FRACTION})?"
    f"(Z|[+-][0-9]{{2}}:?[0-5][0-9]|[+-][0-9]{{2}}:[0-5][0-9]:[0-5][0-9]{FRACTION})"
)


def refuse(text):
    raise Refused(text)


def in_range(text):
    return 0 if math.isfinite(float(text)) else refuse(text)


def is_plain(node, depth=0):
    """No lone surrogate is in it, and it is not nested deeper than 127 levels. An object is a tuple of pairs,
    with the names that repeat."""
    if isinstance(node, tuple):
        return depth < 127 and all(is_plain(part, depth + 1) for pair in node for part in pair)
    if isinstance(node, list):
        return depth < 127 and all(is_plain(part, depth + 1) for part in node)
    return not isinstance(node, str) or not re.search("[\ud800-\udfff]", node)


def is_timestamp(node):
    if not isinstance(node, str) or not TIMESTAMPS.fullmatch(node):
        return False
    try:
        datetime.fromisoformat(node).astimezone(timezone.utc)
        return True
    except (ValueError, OverflowError):
        return False


def documented(value, id):
    data = json.loads(value, parse_constant=refuse, parse_float=in_range, parse_int=in_range)
    if not isinstance(data, dict) or not is_plain(json.loads(value, object_pairs_hook=tuple)):
        return False
    held = data.get("credentials")
    held = held if isinstance(held, dict) and held else None
    texts = [data.get("provider_slug"), data.get("status"), data.get("alias") or ""]
    texts += [held.get("encrypted_data"), held.get("credential_type")] if held else []
    optional = [data.get("connected_at"), data.get("last_sync_at"), (held or {}).get("expires_at")]
    times = [data.get("created_at"), data.get("updated_at")] + [time for time in optional if time is not None]
    return (
        all(isinstance(data.get(name), str) and UUIDS.fullmatch(data[name]) for name in IDS)
        and UUID(data["id"]) == UUID(id)
        and all(isinstance(text, str) for text in texts)
        and (data.get("alias") is None or isinstance(data["alias"], str))
        and all(is_timestamp(time) for time in times)
    )


def attempt(read, *arguments):
    """What a reader makes of a value; none where it fails."""
    try:
        return read(*arguments)
    except (Refused, KeyError, TypeError, ValueError, RecursionError):
        return None


def in_utc(node):
    if not isinstance(node, datetime):
        raise TypeError
    try:
        return (node if node.tzinfo is None else node.astimezone(timezone.utc)).isoformat()
    except OverflowError:
        return node.isoformat()


given = json.load(sys.stdin)
answers = [
    {
        # As text, because it may hold what no other reader of JSON takes.
        "read_as": json.dumps(attempt(application, value), default=in_utc),
        "documented": bool(attempt(documented, value, given["id"])),
    }
    for value in given["values"]
]
json.dump(answers, sys.stdout)
