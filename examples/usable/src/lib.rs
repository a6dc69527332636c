//! `GET /{id}` answers 200 if that provider connection can be used now, and 404 if it
//! cannot, or if the cache does not know: then ask the database.
//!
//! It imports the cache and never sees Redis: `wac plug` puts the cache inside.

use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Request, Response};
use spin_sdk::wasip3::wit_future;

mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package example:usable; world usable { import provider:connection-cache/cache@0.1.0; }",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use bindings::provider::connection_cache::cache;

struct Usable;

spin_sdk::wasip3::http::service::export!(Usable with_types_in spin_sdk::wasip3);

impl spin_sdk::wasip3::exports::http::handler::Guest for Usable {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let summary = cache::get_summary(path.trim_start_matches('/').to_owned()).await;
        let status = match summary {
            Ok(Some(summary)) if summary.can_sync => 200,
            Ok(_) => 404,
            Err(cache::Error::InvalidArgument(_)) => 400,
            Err(cache::Error::Unavailable(_)) => 503,
        };
        let headers = Fields::from_list(&[("content-length".to_owned(), b"0".to_vec())]);
        let headers = headers.map_err(|_| ErrorCode::InternalError(None))?;
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, None, trailers);
        response
            .set_status_code(status)
            .map_err(|()| ErrorCode::InternalError(None))?;
        Ok(response)
    }
}
