//! One request to the origin, with the same headers as the cache sends.

use std::cell::OnceCell;
use std::rc::Rc;

use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use spin_sdk::wasip3::wit_future;
use spin_sdk::wit_bindgen::rt::async_support::StreamResult;

use crate::shared::shared;

/// Its URL is `http://` with the authority, and a path that ends in the id.
struct Origin {
    authority: String,
    path: String,
    bearer: String,
}

thread_local! {
    static ORIGIN: OnceCell<Rc<Origin>> = const { OnceCell::new() };
}

async fn origin() -> Result<Origin, ErrorCode> {
    let url = variable("origin_url").await?;
    let parts = url.strip_prefix("http://").and_then(|url| {
        let (authority, path) = url.strip_suffix("{id}")?.split_once('/')?;
        Some((authority.to_owned(), format!("/{path}")))
    });
    let (authority, path) = parts.ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let bearer = format!("Bearer {}", variable("origin_token").await?);
    Ok(Origin {
        authority,
        path,
        bearer,
    })
}

async fn variable(name: &str) -> Result<String, ErrorCode> {
    let value = spin_sdk::variables::get(name).await;
    value.map_err(|_| ErrorCode::InternalError(None))
}

/// Returns the body of the answer as it is.
pub async fn fetch(id: &str) -> Result<Vec<u8>, ErrorCode> {
    let response = client::send(request(&*shared(&ORIGIN, origin()).await?, id)?).await?;
    let (_, result) = wit_future::new(|| Ok(()));
    let (mut body, trailers) = Response::consume_body(response, result);
    let mut bytes = Vec::new();
    loop {
        let (result, chunk) = body.read(Vec::with_capacity(16 * 1024)).await;
        bytes.extend(chunk);
        if let StreamResult::Dropped | StreamResult::Cancelled = result {
            break;
        }
    }
    trailers.await?;
    Ok(bytes)
}

fn request(origin: &Origin, id: &str) -> Result<Request, ErrorCode> {
    let refused = |()| ErrorCode::InternalError(None);
    let headers = Fields::from_list(&[
        ("accept".to_owned(), b"application/json".to_vec()),
        ("accept-encoding".to_owned(), b"identity".to_vec()),
        ("user-agent".to_owned(), b"floor".to_vec()),
        (
            "authorization".to_owned(),
            origin.bearer.as_bytes().to_vec(),
        ),
    ]);
    let headers = headers.map_err(|_| refused(()))?;
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(headers, None, trailers, None);
    let path = format!("{}{id}", origin.path);
    request.set_scheme(Some(&Scheme::Http)).map_err(refused)?;
    request
        .set_authority(Some(&origin.authority))
        .map_err(refused)?;
    request.set_path_with_query(Some(&path)).map_err(refused)?;
    Ok(request)
}
