//! That what they name is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{deployed, empty_directory, of_kind, read, run, said, the_only};
use crate::support::client::Call;
use crate::support::in_repository;
use crate::support::redis::Redis;
use crate::support::service::Service;

/// What an object or an array holds.
fn inside(value: &Value) -> impl Iterator<Item = &Value> {
    let fields = value
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.values());
    fields.chain(value.as_array().into_iter().flatten())
}

/// All values under this name, wherever they are.
fn all<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    let mut found: Vec<_> = value.get(name).into_iter().collect();
    found.extend(inside(value).flat_map(|value| all(value, name)));
    found
}

/// The variables of the application, and which of them are secret.
fn declared() -> BTreeMap<String, bool> {
    let manifest = read(in_repository("spin.toml"));
    let section = manifest.split("[variables]\n").nth(1).unwrap();
    let lines = section.lines().take_while(|line| !line.is_empty());
    let declared = lines.map(|line| {
        let (name, of_it) = line.split_once(" = ").unwrap();
        (name.to_owned(), of_it.contains("secret = true"))
    });
    declared.collect()
}

/// For each secret that the README has made of a file or of a directory's files, its keys.
fn secrets_made(secrets: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let readme = read(in_repository("deploy/README.md"));
    let lines = readme.lines();
    let created = lines.filter_map(|line| line.strip_prefix("kubectl create secret generic "));
    let created = created.map(|line| line.split_once(" --from-file=").unwrap());
    let keys = |from: &str| match from.strip_prefix("secrets/") {
        Some(folder) => fs::read_dir(secrets.join(folder))
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect(),
        None => {
            assert!(in_repository(from).is_file(), "there is no {from}");
            [from.rsplit('/').next().unwrap().to_owned()].into()
        }
    };
    created
        .map(|(name, from)| (name.to_owned(), keys(from)))
        .collect()
}

#[test]
fn variables_and_secrets_are_there_under_the_names_they_are_asked_for_by() {
    let documents = deployed();
    let secrets = empty_directory("secrets").join("made");
    let made = run(Command::new(in_repository("deploy/secrets.sh")).arg(&secrets));
    assert!(made.status.success(), "{}", said(&made));
    let made = secrets_made(&secrets);
    assert_eq!(made.len(), 4);

    let declared = declared();
    let application = the_only(&documents, "SpinApp");
    for variable in application["spec"]["variables"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        let secret = declared
            .get(name)
            .unwrap_or_else(|| panic!("spin.toml has no {name}"));
        let from = &variable["valueFrom"]["secretKeyRef"];
        assert_eq!(from.is_object(), *secret, "{name}");
        if *secret {
            let keys = &made[from["name"].as_str().unwrap()];
            assert!(keys.contains(from["key"].as_str().unwrap()), "{name}");
        }
    }
    let of_application = &application["spec"]["runtimeConfig"]["loadFromSecret"];
    assert!(made[of_application.as_str().unwrap()].contains("runtime-config.toml"));
    let executor = the_only(&documents, "SpinAppExecutor");
    let of_executor = &executor["spec"]["deploymentConfig"]["caCertSecret"];
    assert!(made[of_executor.as_str().unwrap()].contains("ca-certificates.crt"));
    let configuration = ["valkey.conf", "replica.conf", "ask.sh"]
        .map(|file| read(in_repository("deploy/kubernetes/valkey").join(file)))
        .concat();
    let asked = configuration.split("/etc/valkey/secret/").skip(1);
    let asked: BTreeSet<_> = asked
        .map(|rest| rest.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert_eq!(asked, made["valkey"]);
    for name in all(&Value::from(documents), "secretName") {
        let name = name.as_str().unwrap();
        // The certificate of the service itself is whoever's who deploys it.
        assert!(
            made.contains_key(name) || name == "provider-connection-cache-tls",
            "{name}"
        );
    }
}

/// The labels that a policy selects pods by, but for those in other namespaces, which are not ours to know.
fn pods_of_this_namespace(policy: &Value) -> Vec<&Value> {
    if policy.get("namespaceSelector").is_some() {
        return Vec::new();
    }
    let labels = policy.pointer("/podSelector/matchLabels").into_iter();
    labels
        .chain(inside(policy).flat_map(pods_of_this_namespace))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_parts_name_each_other_and_what_there_is() {
    let documents = deployed();
    let application = the_only(&documents, "SpinApp");
    let (name, spec) = (&application["metadata"]["name"], &application["spec"]);
    let executor = the_only(&documents, "SpinAppExecutor");
    assert_eq!(spec["executor"], executor["metadata"]["name"]);
    // The operator refuses both.
    assert_eq!(spec["enableAutoscaling"], true);
    assert_eq!(spec["replicas"], Value::Null);
    let manifest = read(in_repository("spin.toml"));
    for component in spec["components"].as_array().unwrap() {
        let section = format!("\n[component.{}]\n", component.as_str().unwrap());
        assert!(manifest.contains(&section), "{component}");
    }
    let scaled = the_only(&documents, "ScaledObject");
    assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], *name);
    let ingress = &the_only(&documents, "Ingress")["spec"];
    let service = all(ingress, "service")[0];
    // The operator's service and pods have the name of the application, and port 80.
    assert_eq!(
        (&service["name"], &service["port"]["number"]),
        (name, &80.into())
    );

    let made = Value::from(documents.clone());
    let templates = all(&made, "template").into_iter();
    let of_application = json!({ "core.spinkube.dev/app-name": name });
    let of_pods: Vec<_> = templates
        .map(|template| &template["metadata"]["labels"])
        .chain([&of_application])
        .collect();
    let are_of_a_pod = |labels: &Value| {
        let labels = labels.as_object().unwrap();
        let have = |pod: &&Value| labels.iter().all(|(name, value)| pod[name] == *value);
        of_pods.iter().any(have)
    };
    let policies = of_kind(&documents, "NetworkPolicy").into_iter();
    let selected = policies.flat_map(pods_of_this_namespace);
    let budgets = of_kind(&documents, "PodDisruptionBudget").into_iter();
    let selected = selected.chain(budgets.map(|budget| &budget["spec"]["selector"]["matchLabels"]));
    let services = of_kind(&documents, "Service");
    let selected = selected.chain(services.iter().map(|service| &service["spec"]["selector"]));
    for labels in selected {
        assert!(are_of_a_pod(labels), "{labels}");
    }
    for variable in spec["variables"].as_array().unwrap() {
        if let Some(address) = variable["value"]
            .as_str()
            .and_then(|value| value.strip_prefix("rediss://"))
        {
            let there = services.iter().any(|service| {
                let port = &service["spec"]["ports"][0]["port"];
                format!("{}:{port}", service["metadata"]["name"].as_str().unwrap()) == address
            });
            assert!(there, "{address}");
        }
    }

    let service = Service::over(Redis::shared()).await;
    let probes = all(&spec["checks"], "path");
    assert_eq!(probes.len(), 2);
    for probe in probes {
        let answer = service
            .send(Call::new("GET", probe.as_str().unwrap()))
            .await;
        assert_eq!(answer.status, 200, "{probe}");
    }
    let metrics = service.read("GET", "/metrics").await;
    let query = scaled["spec"]["triggers"][0]["metadata"]["query"]
        .as_str()
        .unwrap();
    let metric = query
        .split(['(', '{'])
        .find(|word| word.trim().starts_with("provider_"));
    let sample = format!("\n{}{{operation=\"ping\"}} ", metric.unwrap().trim());
    assert!(metrics.text().contains(&sample), "there is no {sample}");
}
