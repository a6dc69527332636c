//! How an answer leaves. What leaves in a second write waits for the caller's acknowledgement of the
//! first, on Linux for 40 ms, because Spin does not set TCP_NODELAY on the connections it accepts.

use std::collections::HashMap;

use crate::support::answers::{Sender, kinds, store};
use crate::support::raw::{Raw, bearer, request};
use crate::support::redis::Redis;
use crate::support::service::{Service, WRITE_TOKEN, path};
use crate::support::{connection::id, spin};

/// How often each kind is asked for, one at a time.
const TIMES: usize = 20;

/// On one thread, so that the order of events is the same on every machine.
#[tokio::test]
async fn head_and_body_of_every_answer_leave_in_one_write() {
    if spin::is_skipped("the number of writes") {
        return;
    }
    let redis = Redis::start(&[]);
    store(&redis);
    let mut services = HashMap::new();
    for sender in Sender::ALL {
        let service = Service::start_from(&sender.manifest(), sender.variables(&redis)).await;
        services.insert(sender, service);
    }
    let mut in_more = Vec::new();
    for kind in kinds() {
        let service = &services[&kind.sender];
        let mut more = 0;
        for request in kind
            .requests
            .iter()
            .cycle()
            .take(TIMES.max(kind.requests.len()))
        {
            // Some answers end their connection, so each has one.
            let mut raw = Raw::connect(service.address()).await;
            let before = service.writes();
            let _taken = raw.send(request).await;
            let status = raw.whole_answer(request.starts_with("HEAD ")).await;
            assert_eq!(status, Some(kind.status), "{}", kind.name);
            if service.writes() - before != 1 {
                more += 1;
            }
        }
        if more > 0 {
            in_more.push(format!("{}: {more} answers", kind.name));
        }
    }
    assert!(in_more.is_empty(), "in more than one write: {in_more:#?}");
}

/// The one that takes ten seconds.
#[tokio::test]
async fn head_and_body_of_a_time_out_leave_in_one_write() {
    if spin::is_skipped("the number of writes") {
        return;
    }
    let service = Service::over(Redis::shared()).await;
    let headers = "content-type: application/json\r\ncontent-length: 9\r\n";
    let request = request(
        "PUT",
        &path(&id(1)),
        &format!("{}{headers}", bearer(WRITE_TOKEN)),
    );
    let mut raw = Raw::connect(service.address()).await;
    assert!(raw.send(request).await);
    assert_eq!(raw.whole_answer(false).await, Some(408));
    assert_eq!(service.writes(), 1);
}
