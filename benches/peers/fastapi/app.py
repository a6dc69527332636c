"""The same lookup as a Python service would do it: bearer token, GET, JSON, summary."""

import json
import os
import secrets
from datetime import UTC, datetime, timedelta

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from redis.asyncio import Redis

AUTHORIZATION = f"Bearer {os.environ['READ_TOKEN']}".encode()
EXPIRING_SOON = timedelta(minutes=5)

redis = Redis.from_url(os.environ["REDIS_ADDRESS"])
app = FastAPI()


def summarize(entry: dict) -> dict:
    """What a status check needs to know of a connection, without its credentials."""
    credentials = entry["credentials"] or {}
    expires_at = credentials.get("expires_at")
    left = datetime.fromisoformat(expires_at) - datetime.now(UTC) if expires_at else None
    expired = left is not None and left <= timedelta()
    connected = entry["status"] == "active" and bool(credentials)
    return {
        "id": entry["id"],
        "user_id": entry["user_id"],
        "provider_id": entry["provider_id"],
        "provider_slug": entry["provider_slug"],
        "alias": entry["alias"],
        "status": entry["status"],
        "is_connected": connected,
        "needs_reauthentication": entry["status"] in ("expired", "revoked", "failed"),
        "credentials_expired": expired,
        "credentials_expiring_soon": left is not None and left <= EXPIRING_SOON,
        "can_sync": connected and not expired,
        "credential_type": credentials.get("credential_type"),
        "credentials_expire_at": expires_at,
        "connected_at": entry["connected_at"],
        "last_sync_at": entry["last_sync_at"],
        "created_at": entry["created_at"],
        "updated_at": entry["updated_at"],
    }


@app.get("/v1/provider-connections/{connection_id}")
async def get(connection_id: str, request: Request) -> JSONResponse:
    """The summary of one connection."""
    shown = request.headers.get("authorization", "").encode()
    if not secrets.compare_digest(shown, AUTHORIZATION):
        raise HTTPException(401)
    value = await redis.get(f"provider:conn:{connection_id}")
    if value is None:
        raise HTTPException(404)
    return JSONResponse(summarize(json.loads(value)))
