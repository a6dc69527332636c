//! That Kubernetes, KEDA and Spin would take the files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{checked, read, run, said};
use crate::support::empty_directory;
use crate::support::in_repository;

/// A copy of deploy/kubernetes with a mistake in it.
fn with_mistake(number: usize, file: &str, right: &str, wrong: &str) -> PathBuf {
    let directory = empty_directory(&format!("mistake-{number}"));
    let original = in_repository("deploy/kubernetes");
    let copied = run(Command::new("cp")
        .arg("-R")
        .arg(original.join("."))
        .arg(&directory));
    assert!(copied.status.success(), "{}", said(&copied));
    let text = read(directory.join(file));
    assert!(text.contains(right), "{file} has no {right}");
    fs::write(directory.join(file), text.replace(right, wrong)).unwrap();
    directory
}

#[test]
fn what_would_be_refused_is_found() {
    // In which file, what stands there, a mistake in its place, and what is said of it.
    let mistakes = [
        (
            "deployment.yaml",
            "terminationGracePeriodSeconds:",
            "terminationGracePeriod:",
            "'terminationGracePeriod' was unexpected",
        ),
        (
            "deployment.yaml",
            "sleep: { seconds: 30 }",
            "sleep: { seconds: 30s }",
            "'30s' is not of type",
        ),
        (
            "deployment.yaml",
            "--max-instance-reuse-count=",
            "--instance-reuse-count=",
            "spin up: $: Additional properties are not allowed ('instance-reuse-count' was unexpected",
        ),
        (
            "deployment.yaml",
            "--max-instance-memory=134217728",
            "--max-instance-memory=128Mi",
            "'128Mi' does not match",
        ),
        (
            "deployment.yaml",
            "--listen=0.0.0.0:8080",
            "--listen=127.0.0.1:8080",
            "'127.0.0.1:8080' does not match",
        ),
        (
            "deployment.yaml",
            "            - --runtime-config-file=/etc/spin/config/runtime-config.toml\n",
            "",
            "'runtime-config-file' is a required property",
        ),
        (
            "deployment.yaml",
            "failureThreshold: 360",
            "failureThreshold: ever",
            "'ever' is not of type",
        ),
        (
            "deployment.yaml",
            "secretKeyRef: { name",
            "secretKeyRef: { nam",
            "'nam' was unexpected",
        ),
        (
            "autoscaling.yaml",
            "minReplicaCount: 2",
            "minReplicaCount: two",
            "'two' is not of type",
        ),
        (
            "autoscaling.yaml",
            "ignoreNullValues:",
            "ignoreNulls:",
            "'ignoreNulls' was unexpected",
        ),
        (
            "network-policy.yaml",
            "policyTypes:",
            "policyType:",
            "'policyType' was unexpected",
        ),
        (
            "valkey/replica.yaml",
            "maxSkew: 1",
            "maxSkew: one",
            "'one' is not of type",
        ),
        (
            "runtime-config.toml",
            "max_connections",
            "connections",
            "'connections' was unexpected",
        ),
        (
            "kustomization.yaml",
            "  - ingress.yaml\n",
            "",
            "ingress.yaml: it is not among the resources",
        ),
    ];
    for (number, (file, right, wrong, said)) in mistakes.into_iter().enumerate() {
        let directory = with_mistake(number, file, right, wrong);
        let problems = checked(&directory).expect_err(wrong);
        assert!(problems.contains(said), "{wrong}: {problems}");
    }
}
