//! The log: lines to standard error, where Spin keeps what a component says.
//!
//! Through `wasi:cli/stderr@0.3.0` and not through `std`, whose standard error would bring
//! the environment, standard input, terminals and exit along as imports.

use std::panic::{self, PanicHookInfo};

use futures_util::FutureExt;
use spin_sdk::wasip3::wit_stream;

use self::bindings::wasi::cli::stderr;
use crate::task;

/// Not those of `wasip3`, which name the future that the write answers by standard input,
/// and so would have it imported.
#[allow(missing_docs, unsafe_code, reason = "generated")]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        inline: "package provider:connection-cache-log;
                 world log { import wasi:cli/stderr@0.3.0; }",
        path: "wit",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

/// Writes one line. It must show nothing secret: no stored content, no token, no password.
pub fn line(line: &str) {
    let (mut writer, reader) = wit_stream::new();
    // Without a log the component still works, so a failure to write is no error.
    let _written = stderr::write_via_stream(reader);
    let line = format!("provider-connection-cache: {line}\n").into_bytes();
    let mut write = Box::pin(async move {
        let _unwritten = writer.write_all(line).await;
    });
    // The host takes a line at once, or else in its own time.
    if write.as_mut().now_or_never().is_none() {
        task::spawn(write);
    }
}

/// From now on a panic, which is a bug, says where it happened before the instance ends.
/// Not what it says: the messages of `std` show text that could not be cut, or the value
/// that was not expected, and that may be a secret.
pub fn panics() {
    panic::set_hook(Box::new(|panic| line(&place(panic))));
}

fn place(panic: &PanicHookInfo<'_>) -> String {
    match panic.location() {
        Some(location) => format!("panicked at {location}"),
        None => "panicked".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_panic_is_logged_by_its_place_alone() {
        static SAID: Mutex<String> = Mutex::new(String::new());
        let before = panic::take_hook();
        panic::set_hook(Box::new(|panic| *SAID.lock().unwrap() = place(panic)));
        let text = "é-secret".to_owned();
        let cut = panic::catch_unwind(|| text[1..].len());
        panic::set_hook(before);
        assert!(cut.is_err());
        let said = SAID.lock().unwrap().clone();
        assert!(said.starts_with("panicked at src/log.rs:"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
