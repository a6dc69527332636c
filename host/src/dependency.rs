//! The dependencies of a component, as `[component.ID.dependencies]` has them, and the middleware of
//! a trigger.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use anyhow::{Context as _, Error, Result, anyhow, bail, ensure};
use semver::Version;
use serde::Deserialize;
use wac_graph::types::are_semver_compatible;

use crate::capabilities::Inherited;

/// A component that is to satisfy imports of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dependency {
    /// Which imports.
    pub(crate) name: DependencyName,
    /// Its file, relative to the manifest.
    pub(crate) path: PathBuf,
    /// The export that satisfies them. Without a value it is the one with the import's name.
    pub(crate) export: Option<String>,
    pub(crate) inherited: Inherited,
}

/// A component that stands before another one, of which each request comes to it first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Middleware {
    /// Its file, relative to the manifest.
    pub(crate) path: PathBuf,
    pub(crate) inherited: Inherited,
}

/// One dependency, or one middleware.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    path: Option<PathBuf>,
    component: Option<String>,
    export: Option<String>,
    inherit_configuration: Option<Inherited>,
}

/// Reads the section: `inherit_all` is the component's own `dependencies_inherit_configuration`,
/// and `source_of` finds the file of another component of the application.
pub(crate) fn dependencies(
    section: BTreeMap<String, toml::Value>,
    inherit_all: Option<bool>,
    source_of: impl Fn(&str) -> Result<PathBuf>,
) -> Result<Vec<Dependency>> {
    let read = |(name, value): (String, toml::Value)| {
        dependency(&name, value, inherit_all, &source_of)
            .with_context(|| format!("dependency '{name}'"))
    };
    let dependencies: Vec<_> = section.into_iter().map(read).collect::<Result<_>>()?;
    for (index, one) in dependencies.iter().enumerate() {
        for other in &dependencies[..index] {
            ensure!(
                !one.name.overlaps(&other.name),
                "dependency '{}' conflicts with '{}'",
                other.name,
                one.name
            );
        }
    }
    Ok(dependencies)
}

fn dependency(
    name: &str,
    value: toml::Value,
    inherit_all: Option<bool>,
    source_of: impl Fn(&str) -> Result<PathBuf>,
) -> Result<Dependency> {
    let name: DependencyName = name.parse()?;
    let (table, path) = read(value, source_of)?;
    ensure!(
        table.export.is_none() || !name.is_package(),
        "using an export to satisfy the package dependency '{name}' is not currently permitted"
    );
    ensure!(
        table.inherit_configuration.is_none() || inherit_all.is_none(),
        "`dependencies_inherit_configuration` and per-dependency `inherit_configuration` are mutually exclusive; use one or the other"
    );
    let inherited = match inherit_all {
        Some(true) => Inherited::all(),
        _ => table.inherit_configuration.unwrap_or_default(),
    };
    Ok(Dependency {
        name,
        path,
        export: table.export,
        inherited,
    })
}

/// Reads one middleware.
pub(crate) fn middleware(
    value: toml::Value,
    source_of: impl Fn(&str) -> Result<PathBuf>,
) -> Result<Middleware> {
    let (table, path) = read(value, source_of)?;
    ensure!(table.export.is_none(), "a middleware has no `export`");
    Ok(Middleware {
        path,
        inherited: table.inherit_configuration.unwrap_or_default(),
    })
}

fn read(
    value: toml::Value,
    source_of: impl Fn(&str) -> Result<PathBuf>,
) -> Result<(Table, PathBuf)> {
    let fetched = ["version", "url"];
    ensure!(
        !value.is_str() && !fetched.iter().any(|key| value.get(key).is_some()),
        "it comes from a registry or a URL, of which this host loads nothing; give the `path` of a copy"
    );
    let table: Table = value
        .try_into()
        .map_err(|error: toml::de::Error| anyhow!("{}", error.message()))?;
    let path = match (&table.path, &table.component) {
        (Some(path), None) => path.clone(),
        (None, Some(component)) => source_of(component)?,
        _ => bail!("it must have either a `path` or a `component`"),
    };
    Ok((table, path))
}

/// Which imports a dependency is for: `foo:bar/baz@0.1.0` for one, `foo:bar/baz` for each version,
/// `foo:bar@0.1.0` and `foo:bar` for all interfaces of a package, `foo-bar` for one without a
/// package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DependencyName {
    /// With the namespace, if there is one.
    package: String,
    interface: Option<String>,
    version: Option<Version>,
}

impl DependencyName {
    /// Whether the dependency is for the import of this name.
    pub(crate) fn matches(&self, import: &str) -> bool {
        import.parse().is_ok_and(|import: Self| {
            self.package == import.package
                && (self.interface.is_none() || self.interface == import.interface)
                && (self.version.is_none() || self.version == import.version)
        })
    }

    /// With the namespace, but without interface and version.
    pub(crate) fn package(&self) -> &str {
        &self.package
    }

    /// Whether it is for all interfaces of a package.
    fn is_package(&self) -> bool {
        self.package.contains(':') && self.interface.is_none()
    }

    /// Whether both may be for the same import, or for versions that could stand for each other.
    fn overlaps(&self, other: &Self) -> bool {
        let interfaces = (&self.interface, &other.interface);
        let versions = (&self.version, &other.version);
        self.package == other.package
            && (matches!(interfaces, (None, _) | (_, None)) || self.interface == other.interface)
            && (matches!(versions, (None, _) | (_, None)) || self.is_compatible_with(other))
    }

    fn is_compatible_with(&self, other: &Self) -> bool {
        let versioned = |name: &Self| {
            let version = name.version.as_ref().map(Version::to_string);
            format!("a:b/c@{}", version.unwrap_or_default())
        };
        self.version == other.version || are_semver_compatible(&versioned(self), &versioned(other))
    }
}

impl FromStr for DependencyName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let (package, interface) = match name.split_once('/') {
            Some((package, interface)) => (package, Some(interface)),
            None => (name, None),
        };
        let well_formed = match package.matches(':').count() {
            0 => interface.is_none() && version.is_none(),
            1 => true,
            _ => false,
        };
        ensure!(
            well_formed && package.split(':').chain(interface).all(is_kebab),
            "{text:?} is not the name of a dependency, such as foo:bar/baz@0.1.0, foo:bar or foo-bar"
        );
        let version = version
            .map(|version| {
                Version::parse(version).with_context(|| format!("{text:?} has an invalid version"))
            })
            .transpose()?;
        Ok(Self {
            package: package.to_owned(),
            interface: interface.map(str::to_owned),
            version,
        })
    }
}

/// Whether `text` is words of letters and digits with `-` between them.
fn is_kebab(text: &str) -> bool {
    text.split('-').all(|word| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

impl fmt::Display for DependencyName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.package)?;
        if let Some(interface) = &self.interface {
            write!(f, "/{interface}")?;
        }
        if let Some(version) = &self.version {
            write!(f, "@{version}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<DependencyName> {
        text.parse()
    }

    #[test]
    fn names_match_imports_as_in_spin() -> Result<()> {
        for (text, import, expected) in [
            ("foo:bar/baz@0.1.0", "foo:bar/baz@0.1.0", true),
            ("foo:bar/baz@0.1.0", "foo:bar/baz@0.1.1", false),
            ("foo:bar/baz@0.1.0", "foo:bar/baz", false),
            ("foo:bar/baz", "foo:bar/baz@0.1.0", true),
            ("foo:bar/baz", "foo:bar/baz", true),
            ("foo:bar/baz", "foo:bar/bub@0.1.0", false),
            ("foo:bar/baz", "foo:bar/baz-bub", false),
            ("foo:bar", "foo:bar/baz@0.1.0", true),
            ("foo:bar", "foo:bub/bib", false),
            ("foo:bar@0.1.0", "foo:bar/baz@0.1.0", true),
            ("foo:bar@0.1.0", "foo:bar/baz", false),
            ("foo-bar", "foo-bar", true),
            ("foo-bar", "foo:bar/baz", false),
        ] {
            assert_eq!(name(text)?.matches(import), expected, "{text} {import}");
            assert_eq!(name(text)?.to_string(), text);
        }
        Ok(())
    }

    #[test]
    fn names_overlap_as_in_spin() -> Result<()> {
        for (one, two, expected) in [
            ("foo:bar", "foo:bar@0.1.0", true),
            ("foo:bar/baz@0.1.0", "foo:bar@0.1.0", true),
            ("foo:bar/baz", "foo:bar", true),
            ("foo:bar@0.2.1", "foo:bar@0.2.2", true),
            ("foo:bar@0.1.0-pre", "foo:bar@0.1.0-pre", true),
            ("foo:bar@0.1.0", "foo:bar@0.2.0", false),
            ("foo:bar/baz@0.1.0", "foo:bar@0.2.0", false),
            ("foo:bar/baz", "foo:bar/bub", false),
            ("foo:bar", "foo:baz", false),
        ] {
            assert_eq!(name(one)?.overlaps(&name(two)?), expected, "{one} {two}");
            assert_eq!(name(two)?.overlaps(&name(one)?), expected, "{two} {one}");
        }
        Ok(())
    }

    fn read(section: &str, inherit_all: Option<bool>) -> Result<Vec<Dependency>> {
        dependencies(toml::from_str(section)?, inherit_all, |id| {
            ensure!(id == "other", "dependency ID {id} does not exist");
            Ok("other.wasm".into())
        })
    }

    #[test]
    fn dependencies_are_read() -> Result<()> {
        let section = r#"
            "a:a" = { path = "a.wasm" }
            "b:b/b" = { component = "other", export = "c:c/c", inherit_configuration = true }
            c = { path = "c.wasm", inherit_configuration = ["variables"] }
        "#;
        let dependency = |text: &str, path: &str, export: Option<&str>, inherited| {
            Ok(Dependency {
                name: name(text)?,
                path: path.into(),
                export: export.map(str::to_owned),
                inherited,
            })
        };
        let variables = toml::Value::from(vec!["variables"]).try_into()?;
        let expected = [
            dependency("a:a", "a.wasm", None, Inherited::default()),
            dependency("b:b/b", "other.wasm", Some("c:c/c"), Inherited::all()),
            dependency("c", "c.wasm", None, variables),
        ];
        let expected = expected.into_iter().collect::<Result<Vec<_>>>()?;
        assert_eq!(read(section, None)?, expected);
        let inherited = read(r#""a:a" = { path = "a.wasm" }"#, Some(true))?;
        assert_eq!(inherited[0].inherited, Inherited::all());
        Ok(())
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        for (section, expected) in [
            (r#""a:a" = ">= 0.1.0""#, "registry"),
            (
                r#""a:a" = { version = "0.1.0", registry = "r.io" }"#,
                "registry",
            ),
            (
                r#""a:a" = { url = "https://u", digest = "sha256:0" }"#,
                "URL",
            ),
            (r#""a:a" = {}"#, "either a `path` or a `component`"),
            (
                r#""a:a" = { path = "p", component = "other" }"#,
                "either a `path`",
            ),
            (
                r#""a:a" = { component = "absent" }"#,
                "ID absent does not exist",
            ),
            (
                r#""a:a" = { path = "p", exports = "b" }"#,
                "unknown field `exports`",
            ),
            (
                r#""a:a" = { path = "p", export = "b" }"#,
                "not currently permitted",
            ),
            (
                r#""a:a" = { path = "p", inherit_configuration = ["all"] }"#,
                "\"all\" cannot be inherited",
            ),
            (
                r#""a:a" = { path = "p", inherit_configuration = "all" }"#,
                "a list of names",
            ),
            (r#""a:a@1" = { path = "p" }"#, "invalid version"),
            (
                "\"a:a\" = { path = \"p\" }\n\"a:a/b\" = { path = \"p\" }",
                "dependency 'a:a' conflicts with 'a:a/b'",
            ),
        ] {
            let error = read(section, None).map_err(|error| format!("{error:#}"));
            assert!(
                error.as_ref().is_err_and(
                    |error| error.contains("dependency 'a:a") && error.contains(expected)
                ),
                "{section}: {error:?}"
            );
        }
        let both = r#""a:a" = { path = "p", inherit_configuration = false }"#;
        assert!(read(both, Some(false)).is_err());
    }

    #[test]
    fn what_is_no_name_is_an_error() {
        for text in [
            "",
            "foo_bar",
            "foo/bar",
            "foo@0.1.0",
            "foo:bar@1",
            "foo:bar/",
            ":bar",
            "a:b:c",
            "a:b:c/d",
            "1a:b",
        ] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }
}
