//! That what they name is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{
    APPLICATION, container, declared, deployed, named, of_kind, option, pod, read, run, said,
    the_only, variables,
};
use crate::support::client::Call;
use crate::support::empty_directory;
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

/// What is wrong with the variables that are set: they are declared, and those that are secret come from a secret.
fn wrong_variables(
    documents: &[Value],
    secrets: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let declared = declared();
    let variables = variables(container(pod(documents)));
    let wrong = variables.into_iter().filter_map(|(name, entry)| {
        let from = &entry["valueFrom"]["secretKeyRef"];
        let keys = from["name"].as_str().and_then(|secret| secrets.get(secret));
        let key = from["key"].as_str().unwrap_or_default();
        match declared.get(&name) {
            None => Some(format!("spin.toml has no {name}")),
            Some(variable) if variable.is_secret == entry.get("value").is_some() => {
                Some(format!("{name} is not where it belongs"))
            }
            Some(variable)
                if variable.is_secret && !keys.is_some_and(|keys| keys.contains(key)) =>
            {
                Some(format!("{name} is in no secret"))
            }
            Some(_) => None,
        }
    });
    wrong.collect()
}

fn made_secrets(directory: &str) -> BTreeMap<String, BTreeSet<String>> {
    let secrets = empty_directory(directory).join("made");
    let made = run(Command::new(in_repository("deploy/secrets.sh")).arg(&secrets));
    assert!(made.status.success(), "{}", said(&made));
    secrets_made(&secrets)
}

#[test]
fn wrong_variables_are_found() {
    let secrets = made_secrets("secrets-of-mistakes");
    for (right, wrong, said) in [
        (
            "SPIN_VARIABLE_REDIS_USERNAME",
            "SPIN_VARIABLE_REDIS_USER",
            "spin.toml has no redis_user",
        ),
        (
            "SPIN_VARIABLE_REDIS_USERNAME",
            "SPIN_VARIABLE_ORIGIN_TOKEN",
            "origin_token is not where",
        ),
        (
            "SPIN_VARIABLE_READ_TOKEN",
            "SPIN_VARIABLE_KEY_PREFIX",
            "key_prefix is not where",
        ),
        (
            r#""key":"read_token""#,
            r#""key":"reading_token""#,
            "read_token is in no secret",
        ),
    ] {
        let documents = Value::from(deployed()).to_string();
        assert!(documents.contains(right), "there is no {right}");
        let documents: Value = serde_json::from_str(&documents.replace(right, wrong)).unwrap();
        let found = wrong_variables(documents.as_array().unwrap(), &secrets).join(", ");
        assert!(found.contains(said), "{wrong}: {found}");
    }
}

#[test]
fn variables_and_secrets_are_there_under_the_names_they_are_asked_for_by() {
    let documents = deployed();
    let made = made_secrets("secrets");
    assert_eq!(made.len(), 4);
    assert_eq!(variables(container(pod(&documents))).len(), 6);
    let wrong = wrong_variables(&documents, &made);
    assert!(wrong.is_empty(), "{wrong:?}");
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

/// What is mounted at the directory of a file.
fn volume_of<'a>(pod: &'a Value, file: &str) -> Option<&'a Value> {
    let mounts = container(pod)["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| {
        let inside = Path::new(file).strip_prefix(mount["mountPath"].as_str().unwrap());
        inside.is_ok()
    })?;
    let mut volumes = pod["spec"]["volumes"].as_array().unwrap().iter();
    volumes.find(|volume| volume["name"] == mount["name"])
}

#[test]
fn spin_reads_and_writes_what_is_mounted_and_may_do_no_more() {
    let documents = deployed();
    let made = made_secrets("secrets-that-are-mounted");
    let pod = pod(&documents);
    let container = container(pod);
    let mut environment = container["env"].as_array().unwrap().iter();
    let trusted = environment
        .find(|variable| variable["name"] == "SSL_CERT_FILE")
        .unwrap();
    for file in [
        trusted["value"].as_str().unwrap(),
        option(container, "runtime-config-file").unwrap(),
    ] {
        let secret = &volume_of(pod, file).expect(file)["secret"]["secretName"];
        let key = Path::new(file).file_name().unwrap().to_str().unwrap();
        assert!(made[secret.as_str().unwrap()].contains(key), "{file}");
    }
    // Spin's own temporary directory, and what it takes from the registry.
    for written in ["/tmp", option(container, "cache-dir").unwrap()] {
        let volume = volume_of(pod, written).expect(written);
        assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{written}");
    }

    // What the namespace asks for ("restricted"), and a root file system that nobody writes to, of every pod.
    let namespace = &the_only(&documents, "Namespace")["metadata"]["labels"];
    assert_eq!(
        namespace["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    let documents = Value::from(documents.clone());
    let templates = all(&documents, "template");
    assert_eq!(templates.len(), 3);
    for template in templates {
        let of_pod = &template["spec"]["securityContext"];
        assert_eq!(of_pod["runAsNonRoot"], true);
        assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(template["spec"]["automountServiceAccountToken"], false);
        let of_container = &super::container(template)["securityContext"];
        let least = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        });
        assert_eq!(*of_container, least);
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
    let pod = pod(&documents);
    let container = container(pod);
    let manifest = read(in_repository("spin.toml"));
    let component = option(container, "component-id").unwrap();
    assert!(
        manifest.contains(&format!("\n[component.{component}]\n")),
        "{component}"
    );
    // KEDA says how many pods there are.
    let deployment = &named(&documents, "Deployment", APPLICATION)["spec"];
    assert_eq!(deployment["replicas"], Value::Null);
    let scaled = the_only(&documents, "ScaledObject");
    assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], APPLICATION);

    // From the ingress to the port that Spin listens on.
    let ingress = &the_only(&documents, "Ingress")["spec"];
    let backend = all(ingress, "service")[0];
    let service = named(&documents, "Service", backend["name"].as_str().unwrap());
    let port = &service["spec"]["ports"][0];
    assert_eq!(backend["port"]["number"], port["port"]);
    let listening = &container["ports"][0];
    assert_eq!(port["targetPort"], listening["name"]);
    let address = option(container, "listen").unwrap();
    assert!(
        address.ends_with(&format!(":{}", listening["containerPort"])),
        "{address}"
    );
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(
            container[probe]["httpGet"]["port"], listening["name"],
            "{probe}"
        );
    }
    let policy = named(&documents, "NetworkPolicy", APPLICATION);
    let let_in = &policy["spec"]["ingress"][0]["ports"];
    assert_eq!(*let_in, json!([{ "port": listening["name"] }]));

    let made = Value::from(documents.clone());
    let templates = all(&made, "template").into_iter();
    let of_pods: Vec<_> = templates
        .map(|template| &template["metadata"]["labels"])
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
    for variable in variables(container).values() {
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
    let probes = all(container, "path");
    assert_eq!(probes.len(), 3);
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
