//! Lookups that answer as the Spin SDK does by default: chunked, and with the body written
//! after the response is returned. Either the cache itself does the rest, or it is done as in
//! the SDK's examples, with a connection per request.

use spin_sdk::http::{Request, Response, Result};
use spin_sdk::http_service;

#[cfg(not(feature = "connection-per-request"))]
#[http_service]
async fn lookup(mut request: Request) -> Result<Response<String>> {
    use std::cell::OnceCell;
    use std::rc::Rc;

    use provider_connection_cache::http::request;
    use provider_connection_cache::http::service::{FailedLookup, Service};
    use provider_connection_cache::instance::Instance;
    use provider_connection_cache::origin::Upstream;
    use provider_connection_cache::rt::once::once;

    thread_local! {
        static SERVICE: OnceCell<Rc<Service>> = const { OnceCell::new() };
    }

    let configured = async {
        let instance = Rc::new(Instance::configured(&Upstream::HTTP).await);
        Service::configured(instance, FailedLookup::NotCached).await
    };
    let request = request.body_mut().take_unstarted();
    let request = request::Request::new(request.ok_or("the request was taken already")?);
    let answer = once(&SERVICE, configured).await.answer(&request).await;
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

#[cfg(feature = "connection-per-request")]
#[http_service]
async fn lookup(request: Request) -> Result<Response<String>> {
    use provider_connection_cache::connection::{Id, entry, json};
    use provider_connection_cache::rt::clock::now;
    use spin_sdk::{redis::Connection, variables};

    let path = request.uri().path();
    let id = path.rsplit('/').next().unwrap_or_default();
    let id = Id::parse("id", id).map_err(|invalid| invalid.to_string())?;
    let address = variables::get("redis_address").await;
    let address = address.map_err(|error| error.to_string())?;
    let connection = Connection::open(address).await;
    let connection = connection.map_err(|error| error.to_string())?;
    let value = connection.get(format!("provider:conn:{id}")).await;
    let Some(value) = value.map_err(|error| error.to_string())? else {
        return Ok(Response::builder().status(404).body(String::new())?);
    };
    let found = entry::decode_stored(id, &value).map_err(|corrupt| corrupt.to_string())?;
    let body = String::from_utf8(json::encode(&found.summarize(now())));
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(body.map_err(|_| "the body is not text")?)?)
}
