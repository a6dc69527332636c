"""The database of this example: a few connections, in memory."""

from datetime import datetime, timezone

from wit_world.imports.provider_connection_cache_types import (
    ConnectionStatus,
    CredentialType,
    ProviderConnection,
    ProviderCredentials,
    Timestamp,
)


async def find(connection_id: str) -> ProviderConnection | None:
    """The connection of this id, which is lower-case and hyphenated."""
    return CONNECTIONS.get(connection_id)


def can_sync(connection: ProviderConnection) -> bool:
    """Whether it is active, and its credentials have not run out."""
    if connection.status is not ConnectionStatus.ACTIVE or not connection.credentials:
        return False
    expires_at = connection.credentials.expires_at
    return not expires_at or datetime.now(timezone.utc).timestamp() < expires_at.seconds


def _connection(number: int, status: ConnectionStatus, **more) -> ProviderConnection:
    fields = {
        "id": f"0192f3a4-5b6c-7d8e-9f02-{number:012x}",
        "user_id": "0192f3a4-5b6c-7d8e-9f02-0000000003e8",
        "provider_id": "0192f3a4-5b6c-7d8e-9f02-0000000007d0",
        "provider_slug": "schwab",
        "status": status,
        "alias": None,
        "credentials": None,
        "connected_at": _at("2026-01-27T05:17:19Z"),
        "last_sync_at": None,
        "created_at": _at("2026-01-27T05:17:19Z"),
        "updated_at": _at("2026-01-27T05:17:19Z"),
    }
    return ProviderConnection(**{**fields, **more})


def _credentials(expires_at: str) -> ProviderCredentials:
    # Encrypted: it stays with whom it is for.
    return ProviderCredentials("Z0FBQUFBQm5sLWNpcGhlcnRleHQ=", CredentialType.OAUTH2, _at(expires_at))


def _at(instant: str) -> Timestamp:
    return Timestamp(int(datetime.fromisoformat(instant).timestamp()), 0)


CONNECTIONS = {
    connection.id: connection
    for connection in [
        _connection(
            1,
            ConnectionStatus.ACTIVE,
            alias="My Schwab IRA",
            credentials=_credentials("2099-01-27T05:17:19Z"),
        ),
        _connection(2, ConnectionStatus.REVOKED),
        _connection(
            3, ConnectionStatus.ACTIVE, credentials=_credentials("2026-01-28T05:17:19Z")
        ),
        _connection(4, ConnectionStatus.PENDING, connected_at=None),
    ]
}
