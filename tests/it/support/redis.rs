//! A real Redis on a free port of this machine.

use std::env;
use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::{Client, Commands, Connection, FromRedisValue, ToRedisArgs};

use super::process::Process;

static SHARED: LazyLock<Redis> = LazyLock::new(|| Redis::start(&[]));

/// Starts the process of a Redis server with these arguments.
pub fn start_server(arguments: &[impl AsRef<OsStr>]) -> Process {
    Process::start(server_program(), arguments, None)
}

/// A Redis server. It ends when this is dropped.
pub struct Redis {
    server: Process,
    port: u16,
    password: Option<String>,
}

impl Redis {
    /// The server that tests share, each with the keys under its own [`unique_prefix`].
    /// What counts commands, or stops the server, starts its own.
    pub fn shared() -> &'static Self {
        &SHARED
    }

    /// A server of the test's own, with these arguments.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with_password(None, arguments)
    }

    /// A server that asks for a password.
    pub fn start_with_required_password(password: &str) -> Self {
        Self::start_with_password(Some(password), &["--requirepass", password])
    }

    fn start_with_password(password: Option<&str>, arguments: &[&str]) -> Self {
        // Another process may take a free port before Redis does: then try another one.
        (0..5)
            .find_map(|_| Self::try_start(free_port(), password, arguments))
            .expect("Redis does not start")
    }

    /// Starts the server again on its port, after [`Redis::stop`].
    pub fn start_again(&mut self) {
        *self = Self::try_start(self.port, self.password.as_deref(), &[])
            .expect("Redis does not start again");
    }

    fn try_start(port: u16, password: Option<&str>, arguments: &[&str]) -> Option<Self> {
        let port_text = port.to_string();
        let directory = env::temp_dir();
        let directory = directory.to_str().expect("its path is UTF-8");
        let mut all = vec![
            "--port",
            &port_text,
            "--bind",
            "127.0.0.1",
            "--dir",
            directory,
        ];
        all.extend(["--save", "", "--appendonly", "no"]);
        // A replica would leave a file that the next server loads.
        all.extend([
            "--repl-diskless-sync",
            "yes",
            "--repl-diskless-load",
            "swapdb",
        ]);
        all.extend(arguments);
        let server = start_server(&all);
        let process_id = server.id();
        let server = Self {
            server,
            port,
            password: password.map(str::to_owned),
        };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if let Ok(mut connection) = server.client().get_connection() {
                let info: String = redis::cmd("INFO")
                    .arg("server")
                    .query(&mut connection)
                    .unwrap();
                return info
                    .contains(&format!("process_id:{process_id}\r\n"))
                    .then_some(server);
            }
            sleep(Duration::from_millis(5));
        }
        None
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens, as the variable `redis_address` has it.
    pub fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn client(&self) -> Client {
        let userinfo = self
            .password
            .as_ref()
            .map_or(String::new(), |password| format!(":{password}@"));
        Client::open(format!("redis://{userinfo}127.0.0.1:{}/", self.port)).unwrap()
    }

    /// A connection of the test's own.
    pub fn connection(&self) -> Connection {
        self.client().get_connection().expect("Redis answers")
    }

    /// Sets a key as some other application would, without a lifetime.
    pub fn set(&self, key: &str, value: impl ToRedisArgs + Send + Sync) {
        self.connection().set::<_, _, ()>(key, value).unwrap();
    }

    /// Makes a key a list.
    pub fn set_to_list(&self, key: &str) {
        self.connection().rpush::<_, _, ()>(key, "an item").unwrap();
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<String> {
        self.connection().get(key).unwrap()
    }

    /// The rest of a key's lifetime in seconds, rounded: -1 without one, -2 without the key.
    pub fn ttl(&self, key: &str) -> i64 {
        self.connection().ttl(key).unwrap()
    }

    /// The keys that match a pattern, sorted.
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.connection().keys(pattern).unwrap();
        keys.sort();
        keys
    }

    /// Sends any command.
    pub fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let (name, arguments) = words.split_first().expect("a command");
        redis::cmd(name)
            .arg(arguments)
            .query(&mut self.connection())
            .unwrap()
    }

    /// Closes the connections of all others.
    pub fn kill_clients(&self) {
        self.command::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    }

    /// How many connections others have to it.
    pub fn clients(&self) -> u64 {
        self.info("connected_clients") - 1
    }

    /// A number of `INFO`.
    pub fn info(&self, name: &str) -> u64 {
        let info: String = self.command(&["INFO", "all"]);
        let value = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value
            .unwrap_or_else(|| panic!("no {name} in INFO"))
            .trim()
            .parse()
            .expect("a number")
    }

    /// The commands sent to it by now on behalf of entries, and how often each: neither those
    /// that open a connection, nor those with which this test asks, nor those that hand on what
    /// was counted.
    pub fn commands_seen(&self) -> Vec<(String, u64)> {
        let info: String = self.command(&["INFO", "commandstats"]);
        let not_about_entries = [
            "info",
            "client",
            "client|setinfo",
            "hello",
            "auth",
            "select",
            "config|resetstat",
            "hincrby",
            "expire",
            "hsetnx",
        ];
        let mut seen: Vec<_> = info
            .lines()
            .filter_map(|line| {
                let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
                let calls: u64 = numbers.split(',').next()?.parse().expect("a number");
                (!not_about_entries.contains(&name)).then(|| (name.to_owned(), calls))
            })
            .collect();
        // One in each script that hands on counts.
        let reports = info.split_once("cmdstat_hsetnx:calls=");
        let reports = reports.and_then(|(_, numbers)| numbers.split(',').next());
        let reports: u64 = reports.map_or(0, |calls| calls.parse().expect("a number"));
        for (name, calls) in &mut seen {
            if name == "eval" {
                *calls = calls.saturating_sub(reports);
            }
        }
        seen.retain(|(_, calls)| *calls > 0);
        seen.sort();
        seen
    }

    /// All keys but those of what was counted.
    pub fn keys_of_connections(&self) -> Vec<String> {
        let mut keys = self.keys("*");
        keys.retain(|key| !key.contains("provider:conn-stats:"));
        keys
    }

    /// The names of the commands since this was asked last, but for SET, by which tests store entries.
    pub fn commands_since(&self) -> Vec<String> {
        let seen = self.commands_seen().into_iter().map(|(name, _)| name);
        let seen = seen.filter(|name| name != "set").collect();
        self.forget_commands();
        seen
    }

    /// Forgets the commands that were sent so far.
    pub fn forget_commands(&self) {
        self.command::<()>(&["CONFIG", "RESETSTAT"]);
    }

    /// Ends the server; its port refuses connections from now on.
    pub fn stop(&mut self) {
        self.end("KILL");
    }

    /// Asks the server to end, and waits until it did. It keeps nothing.
    pub fn shut_down(&mut self) {
        self.end("TERM");
    }

    fn end(&mut self, signal: &str) {
        self.server.signal(signal);
        let start = Instant::now();
        while self.client().get_connection().is_ok() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "Redis does not end"
            );
            sleep(Duration::from_millis(5));
        }
        self.server.end();
    }

    /// Stops the server's process in its tracks: connections stay, answers do not come.
    pub fn pause(&self) {
        self.server.signal("STOP");
    }

    /// Lets the process go on.
    pub fn go_on(&self) {
        self.server.signal("CONT");
    }
}

/// A key prefix that no other test uses.
pub fn unique_prefix() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A port on which nobody listens, below those that the system gives to clients: a client
/// that keeps trying to connect to one of its own would end up connected to itself.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(10_000..32_768))
        .find(is_free)
        .expect("a free port")
}

/// The client that comes with the server.
pub fn client_program() -> PathBuf {
    let server = server_program();
    let name = server.file_name().and_then(OsStr::to_str);
    let name = name.expect("its name is UTF-8").replace("server", "cli");
    server.with_file_name(name)
}

fn server_program() -> PathBuf {
    if let Some(program) = env::var_os("REDIS_SERVER") {
        return program.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    ["redis-server", "valkey-server"]
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |directory| directory.join(name)))
        .find(|program| Path::is_file(program))
        .expect("the tests need redis-server or valkey-server on the PATH, or REDIS_SERVER")
}
