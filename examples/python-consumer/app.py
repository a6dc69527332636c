"""`GET /sync/{connection-id}` says whether a provider connection can be synced now.

Cache-aside: the cache is asked first; on a miss the database is, and what it has is put into
the cache. The cache is a component of its own, inside this one when it runs: Redis is out of
sight here.
"""

import sys
import uuid

import answer
import database
from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import cache
from wit_world.imports.provider_connection_cache_types import Error_InvalidArgument
from wit_world.imports.wasi_http_types import Method_Get, Request, Response


class Handler(exports.Handler):
    async def handle(self, request: Request) -> Response:
        target = request.get_path_with_query() or "/"
        path, _, _ = target.partition("?")
        connection_id = path.removeprefix("/sync/")
        if connection_id == path:
            return answer.problem(404, "no such resource")
        if not isinstance(request.get_method(), Method_Get):
            return answer.problem(405, "only GET is allowed", allow="GET")
        return await sync(connection_id)


async def sync(connection_id: str) -> Response:
    try:
        # Without the credentials: they are of no use here.
        cached = await cache.get_summary(connection_id)
    except Err as error:
        if isinstance(error.value, Error_InvalidArgument):
            return answer.problem(400, error.value.value)
        cached = None
    if cached:
        return verdict(cached.id, cached.status, cached.can_sync, "cache")

    stored = await database.find(str(uuid.UUID(connection_id)))
    if not stored:
        return answer.problem(404, "no such connection")
    try:
        await cache.set(stored, None)
    except Err as error:
        # The next caller will ask the database again, and that is all.
        print(f"{stored.id} is not cached: {error.value.value}", file=sys.stderr)
    return verdict(stored.id, stored.status, database.can_sync(stored), "database")


def verdict(connection_id, status, can_sync: bool, source: str) -> Response:
    body = {
        "id": connection_id,
        "status": status.name.lower(),
        "can_sync": can_sync,
        "source": source,
    }
    return answer.json(200 if can_sync else 409, body)
