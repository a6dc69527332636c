//! What is configured by whoever runs an application, not by the application: where its key-value
//! stores are.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf, absolute},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{key_value::GrantedStores, manifest::parse_toml, sqlite::Database};

/// The label of the store that needs no configuration.
const DEFAULT: &str = "default";

/// Its file in the state directory.
const DEFAULT_FILE: &str = "sqlite_key_value.db";

/// The directory of what an application keeps: the key-value store `default`, in
/// `sqlite_key_value.db`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StateDir {
    /// `.spin` beside the manifest, or [`StateDir::Unset`] if there is no manifest.
    #[default]
    Default,
    /// None: the store is in memory.
    Unset,
    /// This one, relative to the working directory.
    Provided(PathBuf),
}

impl From<String> for StateDir {
    /// As Spin reads its option: empty is none.
    fn from(text: String) -> Self {
        if text.is_empty() {
            Self::Unset
        } else {
            Self::Provided(text.into())
        }
    }
}

/// The file of `--runtime-config-file`. Spin ignores what it does not know in a store's table; here
/// it is an error.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    state_dir: Option<String>,
    #[serde(default)]
    key_value_store: BTreeMap<String, KeyValueStore>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "kebab-case")]
enum KeyValueStore {
    Spin { path: Option<PathBuf> },
}

/// All there is to grant.
pub(crate) struct RuntimeConfig {
    key_value_stores: GrantedStores,
}

impl RuntimeConfig {
    /// What `file` says, if there is one, for an application whose manifest is in `app_dir`. A
    /// `state_dir` that is not [`StateDir::Default`] comes before that of the file.
    pub(crate) fn read(
        file: Option<&Path>,
        state_dir: &StateDir,
        app_dir: Option<&Path>,
    ) -> Result<Self> {
        let config: File = match file {
            Some(path) => read(path)
                .with_context(|| format!("the runtime configuration {}", path.display()))?,
            None => File::default(),
        };
        let state_dir = match (state_dir, config.state_dir) {
            (StateDir::Default, Some(configured)) => configured.into(),
            (state_dir, _) => state_dir.clone(),
        };
        let state_dir = match (state_dir, app_dir) {
            (StateDir::Provided(directory), _) => Some(absolute(directory)?),
            (StateDir::Default, Some(app_dir)) => Some(absolute(app_dir.join(".spin"))?),
            (StateDir::Default | StateDir::Unset, _) => None,
        };
        let beside = file.and_then(Path::parent).unwrap_or(Path::new(""));
        let mut key_value_stores = BTreeMap::new();
        for (label, KeyValueStore::Spin { path }) in config.key_value_store {
            let file = path.map(|path| beside.join(path));
            key_value_stores.insert(label, Arc::new(Database::new(file)));
        }
        key_value_stores
            .entry(DEFAULT.to_owned())
            .or_insert_with(|| {
                let file = state_dir.map(|directory| directory.join(DEFAULT_FILE));
                Arc::new(Database::new(file))
            });
        Ok(Self { key_value_stores })
    }

    /// The stores with these labels, which a component may open.
    ///
    /// Fails if there is no such store, or if the directory of its file cannot be made.
    pub(crate) fn grant(&self, labels: &[String]) -> Result<GrantedStores> {
        let grant = |label: &String| {
            let database = self.key_value_stores.get(label);
            let database = database.with_context(|| {
                format!("unknown key_value_stores label {label:?}; all but {DEFAULT:?} are defined by the runtime configuration")
            })?;
            if let Some(directory) = database.file().and_then(Path::parent) {
                fs::create_dir_all(directory).with_context(|| {
                    let directory = directory.display();
                    format!("cannot make {directory} for the key-value store {label:?}")
                })?;
            }
            Ok((label.clone(), Arc::clone(database)))
        };
        labels.iter().map(grant).collect()
    }
}

fn read(path: &Path) -> Result<File> {
    let text = fs::read_to_string(path).context("cannot be read")?;
    parse_toml(&text).context("says what this host does not offer")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    /// A file in a directory of its own, which is removed with it.
    struct Directory(PathBuf);

    impl Directory {
        fn with(name: &str, text: &str) -> Result<Self> {
            let name = format!("host-runtime-config-{}-{name}", std::process::id());
            let directory = Self(std::env::temp_dir().join(name));
            fs::create_dir_all(&directory.0)?;
            fs::write(directory.file(), text)?;
            Ok(directory)
        }

        fn file(&self) -> PathBuf {
            self.0.join("runtime-config.toml")
        }

        fn read(&self, state_dir: &StateDir, app_dir: Option<&str>) -> Result<RuntimeConfig> {
            RuntimeConfig::read(Some(&self.file()), state_dir, app_dir.map(Path::new))
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn file_of<'a>(config: &'a RuntimeConfig, label: &str) -> Result<Option<&'a Path>> {
        let database = config.key_value_stores.get(label);
        Ok(database.ok_or_else(|| anyhow!("no {label}"))?.file())
    }

    #[test]
    fn the_default_store_is_in_the_state_directory() -> Result<()> {
        let directory = Directory::with("state", "state_dir = \"/configured\"")?;
        let empty = Directory::with("empty-state", "state_dir = \"\"")?;
        let provided = StateDir::from("/given".to_owned());
        let unset = StateDir::from(String::new());
        let (given, configured) = (
            Path::new("/given/sqlite_key_value.db"),
            Path::new("/configured/sqlite_key_value.db"),
        );
        let beside_manifest = Path::new("/app/.spin/sqlite_key_value.db");
        for (config, expected) in [
            (
                directory.read(&StateDir::Default, Some("/app"))?,
                Some(configured),
            ),
            (directory.read(&provided, Some("/app"))?, Some(given)),
            (directory.read(&unset, Some("/app"))?, None),
            (empty.read(&StateDir::Default, Some("/app"))?, None),
            (empty.read(&provided, None)?, Some(given)),
            (
                RuntimeConfig::read(None, &StateDir::Default, Some(Path::new("/app")))?,
                Some(beside_manifest),
            ),
            (RuntimeConfig::read(None, &StateDir::Default, None)?, None),
        ] {
            assert_eq!(file_of(&config, DEFAULT)?, expected);
        }
        Ok(())
    }

    #[test]
    fn stores_are_configured_by_label() -> Result<()> {
        let text = r#"
            [key_value_store.default]
            type = "spin"
            [key_value_store.relative]
            type = "spin"
            path = "below/a.db"
            [key_value_store.absolute]
            type = "spin"
            path = "/absolute/b.db"
        "#;
        let directory = Directory::with("labels", text)?;
        let config = directory.read(&StateDir::Default, Some("/app"))?;
        let below = directory.0.join("below");
        for (label, expected) in [
            ("default", None),
            ("relative", Some(below.join("a.db"))),
            ("absolute", Some("/absolute/b.db".into())),
        ] {
            assert_eq!(file_of(&config, label)?, expected.as_deref());
        }
        assert!(config.grant(&[])?.is_empty());
        assert!(!below.exists(), "nothing is made for what nobody may open");
        let granted = config.grant(&["default".to_owned(), "relative".to_owned()])?;
        assert!(granted.keys().eq(["default", "relative"]));
        assert!(below.exists());
        let unknown = config.grant(&["other".to_owned()]).err();
        let unknown = format!("{:#}", unknown.context("it is granted")?);
        assert!(unknown.contains("unknown key_value_stores label \"other\""));
        Ok(())
    }

    #[test]
    fn what_this_host_does_not_offer_is_refused_without_showing_values() -> Result<()> {
        for (name, text, expected) in [
            (
                "type",
                "[key_value_store.default]\ntype = \"redis\"\nurl = \"redis://:s3cret@r\"",
                "unknown variant `redis`, expected `spin`",
            ),
            (
                "key",
                "[sqlite_database.default]\ntype = \"s3cret\"",
                "unknown field `sqlite_database`, expected `state_dir` or `key_value_store`",
            ),
            (
                "field",
                "[key_value_store.default]\ntype = \"spin\"\nfile = \"s3cret\"",
                "unknown field `file`, expected `path`",
            ),
            ("toml", "s3cret", "line 1"),
        ] {
            let directory = Directory::with(name, text)?;
            let error = directory.read(&StateDir::Default, None).err();
            let error = format!("{:#}", error.with_context(|| format!("{text} is read"))?);
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("runtime-config.toml"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let absent = RuntimeConfig::read(Some(Path::new("absent.toml")), &StateDir::Unset, None);
        assert!(absent.is_err());
        Ok(())
    }
}
