//! What a dependency inherits of the configuration of its component: `inherit_configuration`.

use serde::Deserialize;
use wac_graph::types::are_semver_compatible;

/// The sets of capabilities, and the interfaces that only a dependency which inherits them may use.
///
/// Without `environment` and `files`, Spin gives a dependency an environment without variables and
/// no directory. That is all a component has here, so these two sets take nothing away.
const SETS: [(&str, &[&str]); 7] = [
    ("ai_models", &["fermyon:spin/llm", "fermyon:spin/llm@2.0.0"]),
    (
        "allowed_outbound_hosts",
        &[
            "fermyon:spin/http",
            "fermyon:spin/mqtt@2.0.0",
            "fermyon:spin/mysql",
            "fermyon:spin/mysql@2.0.0",
            "fermyon:spin/postgres",
            "fermyon:spin/postgres@2.0.0",
            "fermyon:spin/redis",
            "fermyon:spin/redis@2.0.0",
            "spin:mqtt/mqtt@3.0.0",
            "spin:mysql/mysql@3.0.0",
            "spin:postgres/postgres@3.0.0",
            "spin:postgres/postgres@4.2.0",
            "spin:redis/redis@3.0.0",
            "wasi:http/client@0.3.0",
            "wasi:http/client@0.3.0-rc-2026-03-15",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:sockets/ip-name-lookup@0.2.6",
            "wasi:sockets/ip-name-lookup@0.3.0",
            "wasi:sockets/ip-name-lookup@0.3.0-rc-2026-03-15",
            "wasi:sockets/tcp-create-socket@0.2.6",
            "wasi:sockets/tcp@0.2.6",
            "wasi:sockets/udp-create-socket@0.2.6",
            "wasi:sockets/udp@0.2.6",
        ],
    ),
    ("environment", &[]),
    ("files", &[]),
    (
        "key_value_stores",
        &[
            "fermyon:spin/key-value",
            "fermyon:spin/key-value@2.0.0",
            "spin:key-value/key-value@3.0.0",
            "wasi:keyvalue/store@0.2.0-draft2",
        ],
    ),
    (
        "sqlite_databases",
        &[
            "fermyon:spin/sqlite",
            "fermyon:spin/sqlite@2.0.0",
            "spin:sqlite/sqlite@3.1.0",
        ],
    ),
    (
        "variables",
        &[
            "fermyon:spin/config",
            "fermyon:spin/variables@2.0.0",
            "spin:variables/variables@3.0.0",
            "wasi:config/store@0.2.0-draft-2024-09-27",
        ],
    ),
];

/// The names of the sets that a dependency inherits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "Configuration")]
pub(crate) struct Inherited(Vec<&'static str>);

/// As a manifest has it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected true, false, or a list of names")]
enum Configuration {
    All(bool),
    Sets(Vec<String>),
}

impl TryFrom<Configuration> for Inherited {
    type Error = String;

    /// Refuses names of sets that do not exist, which Spin ignores: there, what was meant to be
    /// inherited is not.
    fn try_from(configuration: Configuration) -> Result<Self, String> {
        let known = |name: String| {
            let found = Self::all().0.into_iter().find(|known| *known == name);
            found.ok_or_else(|| {
                let all = Self::all().0.join(", ");
                format!("{name:?} cannot be inherited; what can be: {all}")
            })
        };
        match configuration {
            Configuration::All(true) => Ok(Self::all()),
            Configuration::All(false) => Ok(Self::default()),
            Configuration::Sets(names) => Ok(Self(
                names.into_iter().map(known).collect::<Result<_, _>>()?,
            )),
        }
    }
}

impl Inherited {
    pub(crate) fn all() -> Self {
        Self(SETS.map(|(name, _)| name).into())
    }

    /// The name of the set that is missing for `import`, an interface which the dependency imports.
    pub(crate) fn missing_for(&self, import: &str) -> Option<&'static str> {
        SETS.iter()
            .filter(|(name, _)| !self.0.contains(name))
            .find(|(_, interfaces)| {
                interfaces.iter().any(|interface| {
                    *interface == import || are_semver_compatible(interface, import)
                })
            })
            .map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let nothing = Inherited::default;
        let variables = || Inherited(vec!["variables"]);
        let hosts = Some("allowed_outbound_hosts");
        for (inherited, import, missing) in [
            (nothing(), "spin:redis/redis@3.0.0", hosts),
            (nothing(), "wasi:http/outgoing-handler@0.2.3", hosts),
            (
                nothing(),
                "spin:variables/variables@3.0.0",
                Some("variables"),
            ),
            (variables(), "spin:redis/redis@3.0.0", hosts),
            (variables(), "spin:variables/variables@3.0.0", None),
            (Inherited::all(), "spin:redis/redis@3.0.0", None),
            // Free for all.
            (nothing(), "wasi:clocks/system-clock@0.3.0", None),
            (nothing(), "wasi:http/types@0.3.0", None),
            // Empty for all.
            (nothing(), "wasi:cli/environment@0.2.6", None),
            (nothing(), "wasi:filesystem/preopens@0.2.6", None),
        ] {
            assert_eq!(
                inherited.missing_for(import),
                missing,
                "{inherited:?} {import}"
            );
        }
    }

    #[test]
    fn a_configuration_is_true_false_or_names_of_sets() {
        let sets = |names: &[&str]| {
            Configuration::Sets(names.iter().map(|name| (*name).to_owned()).collect())
        };
        for (configuration, expected) in [
            (Configuration::All(true), Some(Inherited::all())),
            (Configuration::All(false), Some(Inherited(vec![]))),
            (sets(&[]), Some(Inherited(vec![]))),
            (sets(&["files"]), Some(Inherited(vec!["files"]))),
            (sets(&["files", "file"]), None),
        ] {
            assert_eq!(configuration.try_into().ok(), expected);
        }
    }
}
