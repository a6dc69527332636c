//! What becomes of a body that is not read. Where hyper 1.10, which Spin links, sees that it is gone before it sees the
//! content of the answer, it loses that content: `single-packet-response` has the reason.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::Request;
use hyper::body::{Body, Bytes, Frame};
use provider_connection_cache_host::LogSink;
use provider_connection_cache_host::wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use super::*;
use crate::support::handler::{self, HttpInstance};
use crate::support::until::until;
use crate::support::{options, variables};

/// A body of so many chunks, after which nothing comes.
struct Unfinished {
    chunks: usize,
    is_gone: Arc<AtomicBool>,
}

impl Body for Unfinished {
    type Data = Bytes;
    type Error = ErrorCode;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        let Some(left) = self.chunks.checked_sub(1) else {
            return Poll::Pending;
        };
        self.chunks = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 0x1000])))))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.is_gone.store(true, Ordering::Relaxed);
    }
}

/// Sends a `PUT` and asserts that its body is kept until the answer is read, and no longer.
async fn assert_kept(headers: &[(&str, &str)], chunks: usize, status: u16) {
    let given = [("write_token", WRITE_TOKEN)];
    let options = options(variables(Redis::shared(), &given), &LogSink::memory());
    let HttpInstance { mut store, service } = HttpInstance::new(options).await;
    let is_gone = Arc::new(AtomicBool::new(false));
    let is_there = || !is_gone.load(Ordering::Relaxed);
    let mut request = Request::put(format!("http://localhost{}", path(&id(1))));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Unfinished {
        chunks,
        is_gone: Arc::clone(&is_gone),
    };
    let request = request.body(body).expect("a request");
    let kept = async |accessor: &_| {
        let answer = handler::answer(accessor, &service, request).await;
        assert!(is_there(), "{status}: gone before the answer is read");
        assert_eq!(handler::read(accessor, answer).await.status(), status);
        until("the body is gone", || !is_there()).await;
    };
    store.run_concurrent(kept).await.expect("no trap");
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_there_until_the_answer_is_read() {
    let token = format!("Bearer {WRITE_TOKEN}");
    let token = ("authorization", token.as_str());
    let json = ("content-type", "application/json");
    assert_kept(&[json], 0, 401).await;
    assert_kept(&[token, json, ("content-length", "65537")], 0, 413).await;
    assert_kept(&[token, json], 17, 413).await;
}

/// After ten seconds, which pass at once here.
#[tokio::test(start_paused = true)]
async fn the_body_of_a_request_that_took_too_long_is_there_until_the_answer_is_read() {
    let token = format!("Bearer {WRITE_TOKEN}");
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    assert_kept(&headers, 1, 408).await;
}
