//! What `deploy/` says: that it is valid, that its parts fit together, and that Valkey, configured like that, serves
//! the component. A Redis stands in for Valkey.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::{Answer, Call};
use crate::support::connection::{entry, id};
use crate::support::redis::{Redis, Server, client_program, free_port};
use crate::support::service::{Service, path};
use crate::support::{Variables, in_repository, python};

const HIT: &str = "provider-connection-cache; hit";
const MISS: &str = "provider-connection-cache; fwd=miss";

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(command: &mut Command) -> Output {
    command.output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A directory for one test, empty.
fn empty_directory(name: &str) -> PathBuf {
    let directory = directory(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// What the files of a directory say, or what is wrong with them.
fn checked(directory: &Path) -> Result<Vec<Value>, String> {
    let check = in_repository("tests/deploy/check.py");
    let output = run(Command::new(python()).arg(check).arg(directory));
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(said(&output))
    }
}

fn deployed() -> Vec<Value> {
    checked(&in_repository("deploy/kubernetes")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let of_kind = documents.iter().filter(|document| document["kind"] == kind);
    of_kind.collect()
}

fn the_only<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let [only] = of_kind(documents, kind)[..] else {
        panic!("there is not one {kind}");
    };
    only
}

/// All values under this name, wherever they are.
fn all<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    let inside: Vec<&Value> = match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    let mut found: Vec<_> = value.get(name).into_iter().collect();
    found.extend(inside.into_iter().flat_map(|value| all(value, name)));
    found
}

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
fn what_kubernetes_would_refuse_is_found() {
    let mistakes = [
        ("spinapp.yaml", "enableAutoscaling:", "enableAutoScaling:"),
        (
            "spinapp.yaml",
            "failureThreshold: 360",
            "failureThreshold: always",
        ),
        (
            "spinapp.yaml",
            "secretKeyRef: { name",
            "secretKeyRef: { nam",
        ),
        (
            "autoscaling.yaml",
            "minReplicaCount: 2",
            "minReplicaCount: two",
        ),
        ("autoscaling.yaml", "ignoreNullValues:", "ignoreNulls:"),
        ("network-policy.yaml", "policyTypes:", "policyType:"),
        ("valkey/replica.yaml", "maxSkew: 1", "maxSkew: one"),
        ("runtime-config.toml", "max_connections", "max_connection"),
        ("kustomization.yaml", "  - ingress.yaml\n", ""),
    ];
    for (number, (file, right, wrong)) in mistakes.into_iter().enumerate() {
        let directory = with_mistake(number, file, right, wrong);
        let problems = checked(&directory).expect_err(wrong);
        let word = wrong
            .rsplit([' ', '{'])
            .next()
            .unwrap()
            .trim_end_matches(':');
        let word = if word.is_empty() {
            "ingress.yaml"
        } else {
            word
        };
        assert!(problems.contains(word), "{wrong}: {problems}");
    }
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

    let of_pods: Vec<_> = all(&Value::from(documents.clone()), "template")
        .into_iter()
        .map(|template| template["metadata"]["labels"].clone())
        .chain([serde_json::json!({ "core.spinkube.dev/app-name": name })])
        .collect();
    let is_of_a_pod = |labels: &Value| {
        let labels = labels.as_object().unwrap();
        let has = |pod: &Value| labels.iter().all(|(name, value)| pod[name] == *value);
        of_pods.iter().any(has)
    };
    for policy in of_kind(&documents, "NetworkPolicy") {
        // Those in other namespaces are not ours to know.
        let mut policy = policy.clone();
        let peers = ["/spec/ingress", "/spec/egress"]
            .map(|rules| policy.pointer_mut(rules).map(Value::take));
        let peers = peers.into_iter().flatten();
        let peers = peers.flat_map(|rules| {
            all(&rules, "to")
                .into_iter()
                .chain(all(&rules, "from"))
                .cloned()
                .collect::<Vec<_>>()
        });
        let peers = peers.flat_map(|peers| peers.as_array().unwrap().clone());
        let ours = peers.filter(|peer| peer["namespaceSelector"].is_null());
        for part in ours.chain([policy["spec"].take()]) {
            for labels in all(&part, "matchLabels") {
                assert!(is_of_a_pod(labels), "{labels}");
            }
        }
    }
    for budget in of_kind(&documents, "PodDisruptionBudget") {
        assert!(
            is_of_a_pod(&budget["spec"]["selector"]["matchLabels"]),
            "{budget}"
        );
    }
    let services = of_kind(&documents, "Service");
    for service in &services {
        assert!(is_of_a_pod(&service["spec"]["selector"]), "{service}");
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

#[test]
fn the_redis_user_has_the_rights_of_the_readme() {
    let readme = read(in_repository("README.md"));
    let granted = readme
        .lines()
        .filter_map(|line| line.strip_prefix("ACL SETUSER edge "));
    // The last line is the explorer's, which is not deployed.
    let granted: Vec<_> = granted.filter(|rights| *rights != "+scan").collect();
    assert_eq!(granted.len(), 3);
    let granted = granted
        .join(" ")
        .replace(">PASSWORD", "#EDGE_PASSWORD_SHA256");
    let users = read(in_repository("deploy/kubernetes/valkey/users.acl"));
    let edge = users
        .lines()
        .find_map(|line| line.strip_prefix("user edge "));
    assert_eq!(edge, Some(granted.as_str()));
}

/// A primary and a replica, configured as in the cluster.
struct Valkey {
    directory: PathBuf,
    primary: u16,
    replica: u16,
}

impl Valkey {
    fn configure() -> Self {
        let valkey = Self {
            directory: empty_directory("valkey").join("here"),
            primary: free_port(),
            replica: free_port(),
        };
        let configured = run(Command::new(in_repository("deploy/local/configure.sh"))
            .arg(&valkey.directory)
            .args([valkey.primary, valkey.replica].map(|port| port.to_string())));
        assert!(configured.status.success(), "{}", said(&configured));
        valkey
    }

    /// The one that was configured with these ports.
    fn configured(ports: &str) -> Self {
        let (primary, replica) = ports.split_once(' ').unwrap();
        Self {
            directory: directory("valkey").join("here"),
            primary: primary.parse().unwrap(),
            replica: replica.parse().unwrap(),
        }
    }

    fn start(&self, role: &str) -> Server {
        let configuration = self.directory.join(format!("conf/{role}.conf"));
        Server::start(&[configuration])
    }

    /// What a probe says.
    fn probe(&self, port: u16, command: &str) -> Output {
        let script = read(in_repository("deploy/kubernetes/valkey/ask.sh"));
        let client = format!("{} -p {port}", client_program().display());
        let secret = self.directory.join("valkey");
        let script = script
            .replace("valkey-cli", &client)
            .replace("/etc/valkey/secret", secret.to_str().unwrap());
        run(Command::new("sh").args(["-c", &script, "ask.sh", command]))
    }

    fn is_ready(&self, port: u16) -> bool {
        self.probe(port, "PING").status.success()
    }

    fn secret(&self, name: &str) -> String {
        read(self.directory.join("provider-connection-cache").join(name))
    }

    /// What a command says that the component's user sends.
    fn command(&self, port: u16, words: &[&str]) -> String {
        let output = run(Command::new(client_program())
            .args(["-p", &port.to_string(), "--tls", "--cacert"])
            .arg(self.directory.join("valkey/ca.crt"))
            .args(["--user", "edge", "--no-auth-warning"])
            .env("REDISCLI_AUTH", self.secret("redis_password"))
            .args(words));
        said(&output)
    }

    /// The variables of the application as they are deployed, but for where the servers are.
    fn variables(&self) -> Variables {
        let documents = deployed();
        let variables = &the_only(&documents, "SpinApp")["spec"]["variables"];
        let variables = variables.as_array().unwrap().iter().map(|variable| {
            let value = match variable["value"].as_str() {
                Some(value) => value
                    .replace(
                        "valkey-primary:6379",
                        &format!("localhost:{}", self.primary),
                    )
                    .replace(
                        "valkey-replica:6379",
                        &format!("localhost:{}", self.replica),
                    ),
                None => self.secret(
                    variable["valueFrom"]["secretKeyRef"]["key"]
                        .as_str()
                        .unwrap(),
                ),
            };
            (variable["name"].as_str().unwrap().to_owned(), value)
        });
        let patient = ("redis_timeout_ms".to_owned(), "30000".to_owned());
        variables.chain([patient]).collect()
    }

    /// An instance that has written nothing, and so reads from the replica.
    async fn service(&self) -> Service {
        Service::start(self.variables()).await
    }

    async fn send(&self, service: &Service, call: Call) -> Answer {
        let token = self.secret("write_token");
        service.send(call.bearer(&token)).await
    }

    async fn get(&self) -> (u16, String) {
        let answer = self
            .send(&self.service().await, Call::new("GET", &path(&id(1))))
            .await;
        (answer.status, answer.header("cache-status").to_owned())
    }

    async fn put(&self) {
        let call = Call::new("PUT", &path(&id(1))).json(entry(&id(1)).to_string());
        assert_eq!(self.send(&self.service().await, call).await.status, 204);
    }

    fn replica_has_it(&self) -> bool {
        let key = format!("provider:conn:{}", id(1));
        self.command(self.replica, &["GET", &key]).contains(&id(1))
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "not yet: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The ports of the servers, for the test that runs itself once more.
const PORTS: &str = "VALKEY_PORTS";

/// Whom the host trusts is read from the environment, so this runs itself once more, with another one.
#[tokio::test(flavor = "multi_thread")]
async fn valkey_as_deployed_serves_the_component() {
    let Ok(ports) = env::var(PORTS) else {
        let valkey = Valkey::configure();
        let trusted = valkey.directory.join("spin-ca/ca-certificates.crt");
        let again = run(Command::new(env::current_exe().unwrap())
            .args(["--exact", "deploy::valkey_as_deployed_serves_the_component"])
            .env("SSL_CERT_FILE", trusted)
            .env(PORTS, format!("{} {}", valkey.primary, valkey.replica)));
        let said = said(&again);
        assert!(
            again.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    };
    let valkey = Valkey::configured(&ports);
    let primary = valkey.start("valkey");
    until("the primary is ready", || valkey.is_ready(valkey.primary));
    let replica = valkey.start("replica");
    until("the replica is ready", || valkey.is_ready(valkey.replica));
    valkey.put().await;
    until("the replica has it", || valkey.replica_has_it());

    // With a primary that does not answer, only the replica can.
    primary.signal("STOP");
    assert_eq!(valkey.get().await, (200, HIT.to_owned()));
    primary.signal("CONT");

    for words in [
        &["CONFIG", "GET", "maxmemory"][..],
        &["KEYS", "*"],
        &["FLUSHALL"],
        &["ACL", "LIST"],
        &["GET", "another:key"],
        &["REPLICAOF", "NO", "ONE"],
    ] {
        let answer = valkey.command(valkey.primary, words);
        assert!(answer.starts_with("NOPERM"), "{words:?}: {answer}");
    }
    let on_the_replica = valkey.command(valkey.replica, &["DEL", "provider:conn:x"]);
    assert!(on_the_replica.starts_with("READONLY"), "{on_the_replica}");
    let in_the_clear =
        redis::Client::open(format!("redis://127.0.0.1:{}", valkey.primary)).unwrap();
    assert!(in_the_clear.get_connection().is_err());

    // Without its primary the replica says nothing rather than what may have changed, and is alive.
    drop(primary);
    until("the replica knows", || !valkey.is_ready(valkey.replica));
    let alive = valkey.probe(valkey.replica, "ROLE");
    assert!(alive.status.success(), "{}", said(&alive));
    assert_eq!(
        valkey.get().await,
        (404, format!("{MISS}; detail=unavailable"))
    );
    // Back, the primary has nothing, and soon the replica neither.
    let _primary = valkey.start("valkey");
    until("the replica is ready again", || {
        valkey.is_ready(valkey.replica)
    });
    assert_eq!(valkey.get().await, (404, MISS.to_owned()));
    drop(replica);
    valkey.put().await;
    assert_eq!(valkey.get().await, (200, HIT.to_owned()));
}
