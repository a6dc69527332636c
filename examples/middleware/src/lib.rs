//! An application that has provider connections, and knows nothing of the cache before it.
//!
//! What it answers to `GET /v1/provider-connections/{id}` holds credentials, so it is for the cache
//! alone, which shows `origin_token`. A write would be for the application's own users; here
//! everybody may.

use std::time::{SystemTime, UNIX_EPOCH};

use single_packet_response::respond;
use spin_sdk::variables;
use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wasip3::http::types::{ErrorCode, Method, Request, Response};
use uuid::{Uuid, uuid};

/// Its database never says what this one is.
const STUCK: Uuid = uuid!("0192f3a4-5b6c-7d8e-9f03-000000000009");

struct Application;

spin_sdk::wasip3::http::service::export!(Application with_types_in spin_sdk::wasip3);

impl spin_sdk::wasip3::exports::http::handler::Guest for Application {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        eprintln!("asked for {:?} {path}", request.get_method());
        let Some(id) = path.strip_prefix("/v1/provider-connections/") else {
            let headers = vec![("content-type".to_owned(), b"text/plain".to_vec())];
            return respond(200, headers, Some(b"the application\n".to_vec()), request).await;
        };
        match (request.get_method(), find(id)) {
            (Method::Get, _) if !is_the_cache(&request).await => status(401).await,
            (_, None) => status(404).await,
            (Method::Get, Some(id)) => {
                if id == STUCK {
                    monotonic_clock::wait_for(3_600_000_000_000).await;
                }
                let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
                respond(200, headers, Some(connection(id).into()), request).await
            }
            (Method::Post | Method::Put | Method::Delete, Some(_)) => status(204).await,
            _ => status(405).await,
        }
    }
}

async fn status(code: u16) -> Result<Response, ErrorCode> {
    respond(code, Vec::new(), None, ()).await
}

/// Whether the token of the cache is shown. Without one, nobody can show it.
async fn is_the_cache(request: &Request) -> bool {
    let token = variables::get("origin_token").await.unwrap_or_default();
    let shown = request.get_headers().get("authorization");
    !token.is_empty() && shown == [format!("Bearer {token}").into_bytes()]
}

/// Its database has the first nine connections, each with what is below it.
fn find(path: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(path.split('/').next()?).ok()?;
    let number = id.as_u128() ^ 0x0192_f3a4_5b6c_7d8e_9f03_0000_0000_0000;
    (1..10).contains(&number).then_some(id)
}

/// As the cache keeps it. Its alias tells one answer from the next.
fn connection(id: Uuid) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_nanos();
    serde_json::json!({
        "id": id.to_string(),
        "user_id": "0192f3a4-5b6c-7d8e-9f00-0000000003e8",
        "provider_id": "0192f3a4-5b6c-7d8e-9f00-0000000007d0",
        "provider_slug": "schwab",
        "status": "active",
        "alias": format!("as of {now}"),
        "credentials": {
            "encrypted_data": "Z0FBQUFBQm5sLWNpcGhlcnRleHQ=",
            "credential_type": "oauth2",
            "expires_at": "2099-01-27T05:17:19.123456+00:00",
        },
        "connected_at": "2026-01-27T05:17:19+00:00",
        "last_sync_at": null,
        "created_at": "2026-01-27T05:17:19+00:00",
        "updated_at": "2026-01-27T05:17:19+00:00",
    })
    .to_string()
}
