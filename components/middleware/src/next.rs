//! The next component in a chain of HTTP middleware.

#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    reason = "generated: WASI documents it"
)]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package provider:connection-cache-middleware;
                 world next { import wasi:http/handler@0.3.0; }",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        with: { "wasi:http/types@0.3.0": spin_sdk::wasip3::http::types },
        generate_all,
    });
}

pub(crate) use bindings::wasi::http::handler::handle;
