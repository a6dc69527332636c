//! That Valkey, configured like that, serves the component. A Redis stands in for it.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::{container, deployed, pod, read, run, said, variables};
use crate::support::client::{Answer, Call};
use crate::support::connection::{entry, id};
use crate::support::process::Process;
use crate::support::redis::{client_program, free_port, start_server};
use crate::support::service::{Service, path};
use crate::support::until::block_until;
use crate::support::{Variables, directory, empty_directory, in_repository};

const HIT: &str = "provider-connection-cache; hit";
const MISS: &str = "provider-connection-cache; fwd=miss";

#[test]
fn the_redis_user_has_the_rights_that_the_documents_say() {
    let page = read(in_repository("docs/configuration.md"));
    let granted = page
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

    fn start(&self, role: &str) -> Process {
        let configuration = self.directory.join(format!("conf/{role}.conf"));
        start_server(&[configuration])
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
        let variables = variables(container(pod(&documents)));
        let variables = variables.into_iter().map(|(name, variable)| {
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
            (name, value)
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

/// The ports of the servers, for the test that runs itself once more.
const PORTS: &str = "VALKEY_PORTS";

/// Whom the host trusts is read from the environment, so this runs itself once more, with another one.
#[tokio::test(flavor = "multi_thread")]
async fn valkey_as_deployed_serves_the_component() {
    let Ok(ports) = env::var(PORTS) else {
        let valkey = Valkey::configure();
        let trusted = valkey.directory.join("spin-ca/ca-certificates.crt");
        let again = run(Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "deploy::valkey::valkey_as_deployed_serves_the_component",
            ])
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
    block_until("the primary is ready", || valkey.is_ready(valkey.primary));
    let replica = valkey.start("replica");
    block_until("the replica is ready", || valkey.is_ready(valkey.replica));
    valkey.put().await;
    block_until("the replica has it", || valkey.replica_has_it());

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
    block_until("the replica knows", || !valkey.is_ready(valkey.replica));
    let alive = valkey.probe(valkey.replica, "ROLE");
    assert!(alive.status.success(), "{}", said(&alive));
    assert_eq!(
        valkey.get().await,
        (404, format!("{MISS}; detail=unavailable"))
    );
    // Back, the primary has nothing, and soon the replica neither.
    let _primary = valkey.start("valkey");
    block_until("the replica is ready again", || {
        valkey.is_ready(valkey.replica)
    });
    assert_eq!(valkey.get().await, (404, MISS.to_owned()));
    drop(replica);
    valkey.put().await;
    assert_eq!(valkey.get().await, (200, HIT.to_owned()));
}
