//! `spin up`, in the place of the embedded host where `make test SPIN=…` names one.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use provider_connection_cache_host::InstanceReuse;

use super::process::Process;
use super::redis::free_port;
use super::{MAX_INSTANCE_MEMORY, Storage, Variables};

/// Returns the `spin` that the tests run on. Without one they run on the embedded host.
pub fn program() -> Option<PathBuf> {
    let program = std::env::var_os("SPIN").filter(|program| !program.is_empty());
    program.map(PathBuf::from)
}

/// Returns true if this test is skipped, because it runs on Spin and needs what only the embedded host
/// has. `scripts/test.sh` counts the line that says so.
pub fn is_skipped(needs: &str) -> bool {
    let is_skipped = program().is_some();
    if is_skipped {
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        println!("skipped on Spin: {test}: needs {needs}");
    }
    is_skipped
}

/// An application that `spin up` serves. It ends when this is dropped.
pub struct Spin {
    _process: Process,
    directory: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Spin {
    /// Serves the application of a manifest, once it takes connections.
    pub fn up(
        program: &Path,
        manifest: &Path,
        variables: &Variables,
        reuse: InstanceReuse,
        storage: Storage,
    ) -> Self {
        // Another process may take a free port before Spin does: then it ends.
        (0..5)
            .find_map(|_| Self::try_up(program, manifest, variables, reuse, storage))
            .expect("spin up serves")
    }

    /// Serves a component without a manifest, as [`super::service::Service::start_allowing`] has it.
    pub fn up_allowing(
        program: &Path,
        wasm: &Path,
        allowed: &[String],
        variables: &Variables,
    ) -> Self {
        let directory = new_directory();
        let manifest = directory.join("spin.toml");
        fs::write(&manifest, manifest_of(wasm, allowed, variables)).expect("a manifest");
        let spin = Self::up(
            program,
            &manifest,
            variables,
            InstanceReuse::default(),
            Storage::default(),
        );
        fs::remove_dir_all(directory).expect("it was made");
        spin
    }

    fn try_up(
        program: &Path,
        manifest: &Path,
        variables: &Variables,
        reuse: InstanceReuse,
        storage: Storage,
    ) -> Option<Self> {
        let directory = new_directory();
        let text = |path: &Path| path.to_str().expect("its path is UTF-8").to_owned();
        let port = free_port();
        let mut arguments = vec!["up".to_owned(), "--quiet".to_owned()];
        let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
        option("from", text(manifest));
        option("listen", format!("127.0.0.1:{port}"));
        option("state-dir", text(storage.state_dir.unwrap_or(&directory)));
        if let Some(file) = storage.runtime_config_file {
            option("runtime-config-file", text(file));
        }
        option("log-dir", text(&directory.join("logs")));
        option("max-instance-memory", MAX_INSTANCE_MEMORY.to_string());
        for (name, value) in reuse_options(reuse) {
            option(name, value);
        }
        for (name, value) in variables {
            option("variable", format!("{name}={value}"));
        }
        let process = Process::start(program, &arguments, Some(&directory.join("host.txt")));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "spin up does not listen"
            );
            if process.has_ended() {
                eprintln!("{}", read(&directory.join("host.txt")));
                return None;
            }
            sleep(Duration::from_millis(10));
        }
        Some(Self {
            _process: process,
            directory,
            address,
        })
    }

    /// What the components and Spin logged so far. Spin writes it in the background: this waits until
    /// no more comes.
    pub fn log(&self) -> String {
        let mut log = self.log_by_now();
        loop {
            sleep(Duration::from_millis(50));
            let later = self.log_by_now();
            if later == log {
                return log;
            }
            log = later;
        }
    }

    fn log_by_now(&self) -> String {
        let files = fs::read_dir(self.directory.join("logs"))
            .into_iter()
            .flatten();
        let mut files: Vec<_> = files.flatten().map(|file| file.path()).collect();
        files.sort();
        let mut log: String = files.iter().map(|file| read(file)).collect();
        // What it says at its start is no news.
        let host = read(&self.directory.join("host.txt"));
        for line in host.lines().filter(|line| is_news(line)) {
            let _ = writeln!(log, "{line}");
        }
        log
    }
}

impl Drop for Spin {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Returns true unless Spin says this line at every start.
fn is_news(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty()
        && ![
            "Logging component stdio",
            "Storing default",
            "Using runtime config",
            "Serving http",
            "Available Routes",
            "Composing",
            "Preparing",
        ]
        .iter()
        .any(|start| line.starts_with(start))
        && !line.contains(": http://127.0.0.1:")
}

fn read(file: &Path) -> String {
    fs::read(file).map_or(String::new(), |bytes| {
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A directory for the files of one application.
fn new_directory() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = directory.join(format!("spin-{}-{number}", std::process::id()));
    fs::create_dir_all(&directory).expect("the target directory can be written to");
    directory
}

/// The options of `spin up` for the reuse of instances. Spin adds 1 to the largest count.
fn reuse_options(reuse: InstanceReuse) -> Vec<(&'static str, String)> {
    let count = |count: usize| count.min(1_000_000_000).to_string();
    let time = |time: Duration| format!("{}ms", time.as_millis());
    let mut options = vec![
        (
            "max-instance-reuse-count",
            count(reuse.max_instance_reuse_count),
        ),
        (
            "max-instance-concurrent-reuse-count",
            count(reuse.max_instance_concurrent_reuse_count),
        ),
        ("idle-instance-timeout", time(reuse.idle_instance_timeout)),
    ];
    options.extend(
        reuse
            .request_timeout
            .map(|timeout| ("request-timeout", time(timeout))),
    );
    options
}

fn manifest_of(wasm: &Path, allowed: &[String], variables: &Variables) -> String {
    let mut manifest = format!(
        "spin_manifest_version = 2\n\
         application = {{ name = \"component\" }}\n\
         trigger.http = [{{ route = \"/...\", component = \"component\" }}]\n\
         [component.component]\n\
         source = {wasm:?}\n\
         allowed_outbound_hosts = {allowed:?}\n"
    );
    let names =
        |line: fn(&str) -> String| variables.keys().map(|name| line(name)).collect::<String>();
    manifest += "[variables]\n";
    manifest += &names(|name| format!("{name} = {{ required = true }}\n"));
    manifest += "[component.component.variables]\n";
    manifest += &names(|name| format!("{name} = \"{{{{ {name} }}}}\"\n"));
    manifest
}
