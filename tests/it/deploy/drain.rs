//! That a pod serves until no request is left to serve, before SIGTERM makes Spin end.

use serde_json::{Value, json};

use super::{APPLICATION, container, declared, deployed, named, pod, read, variables};
use crate::support::in_repository;

/// How long others still send requests to a pod that is to end: until endpoints, nodes and the ingress have forgotten it.
const FORGETTING: u64 = 10_000;
/// How long Spin may take to end after SIGTERM. It took up to two seconds on a busy machine.
pub const ENDING: u64 = 5_000;

/// How long the body of a request may take.
fn body_timeout() -> u64 {
    let source = read(in_repository("src/http/request.rs"));
    let timeout = source
        .split("const BODY_TIMEOUT: Duration = Duration::from_secs(")
        .nth(1);
    let seconds = timeout
        .and_then(|rest| rest.split(')').next())
        .expect("there is a time-out");
    seconds.parse::<u64>().unwrap() * 1_000
}

/// How long a request may take: the body, and then what docs/read-through.md says of the answer.
fn longest_request(pod: &Value) -> u64 {
    let declared = declared();
    let set = variables(container(pod));
    let milliseconds = |name: &str| {
        let set = set.get(name).map(|entry| entry["value"].as_str().unwrap());
        set.unwrap_or(&declared[name].default)
            .parse::<u64>()
            .unwrap()
    };
    let once = milliseconds("origin_timeout_ms") + 2 * milliseconds("redis_timeout_ms");
    body_timeout() + 3 * once
}

/// Why a request would be cut, if one would be.
fn cut(pod: &Value) -> Option<String> {
    let milliseconds = |seconds: &Value| seconds.as_u64().unwrap_or_default() * 1_000;
    let sleep = milliseconds(&container(pod)["lifecycle"]["preStop"]["sleep"]["seconds"]);
    let needed = FORGETTING + longest_request(pod);
    if sleep < needed {
        return Some(format!("preStop sleeps for {sleep} ms of {needed}"));
    }
    let grace = milliseconds(&pod["spec"]["terminationGracePeriodSeconds"]);
    let needed = sleep + ENDING;
    (grace < needed).then(|| format!("the grace period is {grace} ms of {needed}"))
}

#[test]
fn a_pod_ends_when_the_longest_request_has() {
    let documents = deployed();
    let pod = pod(&documents);
    assert_eq!(longest_request(pod), 17_500);
    assert_eq!(cut(pod), None);
    // And a rollout starts another one before.
    let deployment = named(&documents, "Deployment", APPLICATION);
    let strategy = &deployment["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(strategy["maxUnavailable"], 0);
}

#[test]
fn what_would_cut_a_request_is_found() {
    let documents = deployed();
    let pod = pod(&documents);
    let seconds = "/spec/containers/0/lifecycle/preStop/sleep/seconds";
    let grace = "/spec/terminationGracePeriodSeconds";
    let last = format!(
        "/spec/containers/0/env/{}",
        container(pod)["env"].as_array().unwrap().len() - 1
    );
    let patient = json!({ "name": "SPIN_VARIABLE_ORIGIN_TIMEOUT_MS", "value": "10000" });
    for (place, wrong, said) in [
        (seconds, json!(20), "preStop sleeps for 20000 ms of 27500"),
        (
            "/spec/containers/0/lifecycle",
            json!({}),
            "preStop sleeps for 0 ms of 27500",
        ),
        (&last, patient, "preStop sleeps for 30000 ms of 51500"),
        (grace, json!(30), "the grace period is 30000 ms of 35000"),
        (grace, Value::Null, "the grace period is 0 ms of 35000"),
    ] {
        let mut pod = pod.clone();
        *pod.pointer_mut(place).unwrap() = wrong;
        assert_eq!(cut(&pod).as_deref(), Some(said));
    }
}
