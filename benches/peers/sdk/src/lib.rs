//! The cache, answering as the Spin SDK does by default: chunked, and with the body written
//! after the response is returned.

use provider_connection_cache::http::{answer, service};
use provider_connection_cache::instance::Instance;
use spin_sdk::http::{Request, Response, Result};
use spin_sdk::http_service;

#[http_service]
async fn lookup(mut request: Request) -> Result<Response<String>> {
    let request = request.body_mut().take_unstarted();
    let request = service::Request::new(request.ok_or("the request was taken already")?);
    #[cfg(feature = "connection-per-request")]
    let instance = Instance::configured().await;
    #[cfg(not(feature = "connection-per-request"))]
    let instance = Instance::get().await;
    let answer = answer(&instance, request).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        // The SDK adds none, and an answer with one would not be chunked.
        if name != "content-length" {
            response = response.header(name, value.as_ref());
        }
    }
    let body = String::from_utf8(answer.body.unwrap_or_default());
    Ok(response.body(body.map_err(|_| "the body is not text")?)?)
}
