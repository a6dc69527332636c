//! The part of `spin.toml`, version 2, that applications with HTTP components need.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{
    dependency::{Dependency, Middleware, dependencies, middleware},
    route::Route,
    template,
    variables::check_name,
};

/// An application manifest: components behind routes, and the variables they are given.
pub(crate) struct Manifest {
    variables: BTreeMap<String, Variable>,
    /// The routes in the order of the manifest, each with the id of its component.
    pub(crate) routes: Vec<(Route, String)>,
    /// The components with a route, in the order of their first. There is at least one.
    pub(crate) components: Vec<Component>,
}

/// A section `[component.ID]`.
pub(crate) struct Component {
    pub(crate) id: String,
    pub(crate) source: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    /// What stands before it: the first is asked first.
    pub(crate) middleware: Vec<Middleware>,
    pub(crate) allowed_outbound_hosts: Vec<String>,
    pub(crate) key_value_stores: Vec<String>,
    variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    spin_manifest_version: u32,
    application: toml::Table,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: Triggers,
    // Read when a trigger names it: of the others nothing is used.
    #[serde(default)]
    component: BTreeMap<String, toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    #[serde(default)]
    http: Vec<HttpTrigger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpTrigger {
    #[serde(default, rename = "id")]
    _id: String,
    route: String,
    component: String,
    #[serde(rename = "executor")]
    _executor: Option<Executor>,
    #[serde(default)]
    dependencies: TriggerDependencies,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TriggerDependencies {
    #[serde(default)]
    middleware: Vec<toml::Value>,
}

/// Spin has another, which this host does not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "kebab-case")]
enum Executor {
    #[serde(alias = "spin")]
    Http,
}

/// What else there may be in a component, such as `environment` or `files`, would change what it
/// does, and this host does not offer it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentTable {
    source: PathBuf,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    // A value of another type is refused later, without the parser's message, which would show it.
    #[serde(default)]
    variables: BTreeMap<String, toml::Value>,
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
    dependencies_inherit_configuration: Option<bool>,
    // What follows concerns other commands, or nothing without what is refused.
    #[serde(rename = "description")]
    _description: Option<IgnoredAny>,
    #[serde(rename = "build")]
    _build: Option<IgnoredAny>,
    #[serde(rename = "exclude_files")]
    _exclude_files: Option<IgnoredAny>,
    #[serde(rename = "profile")]
    _profile: Option<IgnoredAny>,
    #[serde(rename = "targets")]
    _targets: Option<IgnoredAny>,
    #[serde(rename = "tool")]
    _tool: Option<IgnoredAny>,
}

/// What a component may not have that is the dependency of another: it would not be used.
const NOT_OF_DEPENDENCIES: [&str; 9] = [
    "ai_models",
    "allowed_http_hosts",
    "allowed_outbound_hosts",
    "dependencies",
    "environment",
    "files",
    "key_value_stores",
    "sqlite_databases",
    "variables",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    // A value of another type is refused later, without the parser's message, which would show it.
    default: Option<toml::Value>,
    #[serde(default)]
    required: bool,
    #[serde(default, rename = "secret")]
    _secret: bool,
    #[serde(default, rename = "description")]
    _description: String,
}

impl Manifest {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read the manifest {}; name another with --from",
                path.display()
            )
        })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, directory).with_context(|| format!("in {}", path.display()))
    }

    /// The paths in it are relative to `directory`.
    fn parse(text: &str, directory: &Path) -> Result<Self> {
        let file: File = parse_toml(text)?;
        ensure!(
            file.spin_manifest_version == 2,
            "spin_manifest_version is {}, only 2 is supported",
            file.spin_manifest_version
        );
        ensure!(
            !file.application.contains_key("trigger"),
            "[application.trigger] is not supported; a base belongs before each route"
        );
        for (name, variable) in &file.variables {
            check_name(name).map_err(|error| anyhow!("variable {error}"))?;
            ensure!(
                variable.required != variable.default.is_some(),
                "variable {name:?} must be `required` OR have a `default`"
            );
            ensure!(
                variable.default.as_ref().is_none_or(toml::Value::is_str),
                "the default of variable {name:?} must be a string"
            );
        }
        ensure!(
            !file.trigger.http.is_empty(),
            "there must be a [[trigger.http]], but there is none"
        );
        let mut routes = Vec::new();
        let mut components: Vec<Component> = Vec::new();
        for trigger in file.trigger.http {
            let id = trigger.component;
            routes.push((Route::new(&trigger.route)?, id.clone()));
            let known = components.iter().find(|component| component.id == id);
            let middleware = trigger.dependencies.middleware;
            // For Spin each of the two is a component of its own.
            ensure!(
                known.is_none_or(|known| known.middleware.is_empty() && middleware.is_empty()),
                "component {id:?} has several triggers, of which one has middleware: this host has no such"
            );
            if known.is_none() {
                let component = Component::new(&id, &file.component, middleware, directory)
                    .with_context(|| format!("component {id:?}"))?;
                components.push(component);
            }
        }
        Ok(Self {
            variables: file.variables,
            routes,
            components,
        })
    }

    /// The application variables: what `given` says, or else `environment`, or else the default.
    pub(crate) fn application_variables(
        &self,
        given: &BTreeMap<String, String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, String>> {
        let resolve = |(name, variable): (&String, &Variable)| {
            let from_environment = format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase());
            let default = variable.default.as_ref().and_then(toml::Value::as_str);
            let value = given
                .get(name)
                .cloned()
                .or_else(|| environment(&from_environment))
                .or_else(|| default.map(str::to_owned))
                .with_context(|| {
                    format!("no value for the required variable {name:?}; give it with --variable {name}=VALUE or {from_environment}=VALUE")
                })?;
            Ok((name.clone(), value))
        };
        self.variables.iter().map(resolve).collect()
    }
}

impl Component {
    fn new(
        id: &str,
        all: &BTreeMap<String, toml::Table>,
        middlewares: Vec<toml::Value>,
        directory: &Path,
    ) -> Result<Self> {
        let table = all
            .get(id)
            .context("a [[trigger.http]] names it, but it is not defined")?;
        let table: ComponentTable = table
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| anyhow!("{}", error.message()))?;
        let variable = |(name, value): (String, toml::Value)| {
            check_name(&name).map_err(|error| anyhow!("variable {error}"))?;
            let toml::Value::String(value) = value else {
                bail!("the value of variable {name:?} must be a string");
            };
            Ok((name, value))
        };
        let variables = table.variables.into_iter().map(variable);
        if let Some(label) = table.key_value_stores.iter().find(|label| !is_label(label)) {
            bail!("key_value_stores label {label:?}: expected kebab-case or snake_case");
        }
        let dependencies = dependencies(
            table.dependencies,
            table.dependencies_inherit_configuration,
            |dependency| source_of_dependency(dependency, id, all),
        )?;
        let before = |value| {
            let read = middleware(value, |middleware| {
                source_of_dependency(middleware, id, all)
            });
            let read = read.context("middleware")?;
            Ok(Middleware {
                path: directory.join(&read.path),
                ..read
            })
        };
        let before = middlewares.into_iter().map(before);
        let in_directory = |dependency: Dependency| Dependency {
            path: directory.join(&dependency.path),
            ..dependency
        };
        Ok(Self {
            id: id.to_owned(),
            source: directory.join(&table.source),
            dependencies: dependencies.into_iter().map(in_directory).collect(),
            middleware: before.collect::<Result<_>>()?,
            allowed_outbound_hosts: table.allowed_outbound_hosts,
            key_value_stores: table.key_value_stores,
            variables: variables.collect::<Result<_>>()?,
        })
    }

    /// Its own variables, which are all it sees.
    pub(crate) fn variables(
        &self,
        application_variables: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        let resolve = |(name, template): (&String, &String)| {
            let value = template::resolve(template, application_variables)
                .with_context(|| format!("component variable {name:?}"))?;
            Ok((name.clone(), value))
        };
        self.variables.iter().map(resolve).collect()
    }
}

/// Reads TOML. The parser's own errors show the line, which may hold a secret; these do not.
pub(crate) fn parse_toml<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        anyhow!("line {line}: {}", error.message())
    })
}

/// Whether Spin takes `text` for the label of a store: words of letters, all small or all large, and digits,
/// with `-` or with `_` between them.
fn is_label(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric())
            && !(word.contains(|c: char| c.is_ascii_uppercase())
                && word.contains(|c: char| c.is_ascii_lowercase()))
    };
    ['-', '_']
        .into_iter()
        .any(|between| text.split(between).all(is_word))
}

/// The file of the component `id`, on which `dependent` depends.
fn source_of_dependency(
    id: &str,
    dependent: &str,
    all: &BTreeMap<String, toml::Table>,
) -> Result<PathBuf> {
    let table = all
        .get(id)
        .with_context(|| format!("dependency ID {id} does not exist"))?;
    let is_empty = |value: &toml::Value| match value {
        toml::Value::Array(items) => items.is_empty(),
        toml::Value::Table(items) => items.is_empty(),
        _ => false,
    };
    let specified: Vec<_> = NOT_OF_DEPENDENCIES
        .into_iter()
        .filter(|key| table.get(*key).is_some_and(|value| !is_empty(value)))
        .collect();
    ensure!(
        specified.is_empty(),
        "Dependencies may not have their own resources or permissions. Component {id} cannot be used as a dependency of {dependent} because it specifies: {}",
        specified.join(", ")
    );
    let source = table.get("source").and_then(toml::Value::as_str);
    let source = source.with_context(|| format!("the source of component {id} is not a file"))?;
    Ok(source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "cache"
        version = "0.1.0"
        [variables]
        redis_address = { default = "redis://localhost:6379", description = "where" }
        token = { required = true, secret = true }
        [[trigger.http]]
        route = "/base/..."
        component = "cache"
        executor = { type = "http" }
        [component.cache]
        source = "dist/cache.wasm"
        allowed_outbound_hosts = ["{{ redis_address }}"]
        [component.cache.variables]
        address = "{{ redis_address }}/0"
        read_token = "{{ token }}"
        [component.cache.build]
        command = "make"
        [component.unused]
        source = "other.wasm"
    "#;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(text, Path::new("app"))
    }

    #[test]
    fn a_manifest_is_read() -> Result<()> {
        let manifest = parse(MANIFEST)?;
        let [component] = &manifest.components[..] else {
            bail!("{} components", manifest.components.len());
        };
        assert_eq!(component.id, "cache");
        assert_eq!(component.source, Path::new("app/dist/cache.wasm"));
        assert_eq!(component.allowed_outbound_hosts, ["{{ redis_address }}"]);
        assert_eq!(component.dependencies, []);
        let [(route, id)] = &manifest.routes[..] else {
            bail!("{} routes", manifest.routes.len());
        };
        assert_eq!(
            (route.to_string().as_str(), id.as_str()),
            ("/base (wildcard)", "cache")
        );
        Ok(())
    }

    #[test]
    fn each_trigger_names_a_component() -> Result<()> {
        let manifest = parse(
            r#"
            spin_manifest_version = 2
            application = { name = "several" }
            trigger.http = [
                { route = "/b/...", component = "b" },
                { route = "/...", component = "a" },
                { route = "/more", component = "b", id = "more" },
            ]
            [component.a]
            source = "a.wasm"
            [component.b]
            source = "b.wasm"
            [component.b.variables]
            own = "b"
            [component.b.dependencies]
            "x:y/z" = { component = "c", inherit_configuration = true }
            "v:w" = { path = "dist/w.wasm" }
            [component.c]
            source = "c.wasm"
            environment = {}
            [component.unused]
            source = "unused.wasm"
            files = ["not served, so never missed"]
            "#,
        )?;
        let ids = manifest
            .components
            .iter()
            .map(|component| component.id.as_str());
        assert_eq!(ids.collect::<Vec<_>>(), ["b", "a"]);
        let routes = manifest
            .routes
            .iter()
            .map(|(route, id)| format!("{id}: {route}"));
        assert_eq!(
            routes.collect::<Vec<_>>(),
            ["b: /b (wildcard)", "a:  (wildcard)", "b: /more"]
        );
        let [b, a] = &manifest.components[..] else {
            bail!("{} components", manifest.components.len());
        };
        let dependencies = b.dependencies.iter();
        let paths = dependencies.map(|dependency| dependency.path.as_path());
        assert!(paths.eq(["app/dist/w.wasm", "app/c.wasm"].map(Path::new)));
        assert_eq!(b.variables(&map(&[]))?, map(&[("own", "b")]));
        assert_eq!(a.variables(&map(&[]))?, map(&[]));
        Ok(())
    }

    #[test]
    fn labels_are_those_of_spin() {
        for label in ["default", "a-b", "a_b1", "AB-c"] {
            assert!(is_label(label), "{label:?}");
        }
        for label in ["", "b@d", "a-b_c", "aB", "a--b", "1a", "a b", "é"] {
            assert!(!is_label(label), "{label:?}");
        }
    }

    #[test]
    fn variables_come_from_arguments_then_environment_then_default() -> Result<()> {
        let manifest = parse(MANIFEST)?;
        let environment = |name: &str| (name == "SPIN_VARIABLE_TOKEN").then(|| "e".to_owned());
        let resolve = |given: &[(&str, &str)]| {
            let variables = manifest.application_variables(&map(given), environment)?;
            manifest.components[0].variables(&variables)
        };
        assert_eq!(
            resolve(&[])?,
            map(&[("address", "redis://localhost:6379/0"), ("read_token", "e")])
        );
        assert_eq!(
            resolve(&[
                ("redis_address", "redis://r:1"),
                ("token", "g"),
                ("else", "")
            ])?,
            map(&[("address", "redis://r:1/0"), ("read_token", "g")])
        );
        Ok(())
    }

    #[test]
    fn a_required_variable_without_a_value_is_named() -> Result<()> {
        let manifest = parse(MANIFEST)?;
        let error = manifest.application_variables(&BTreeMap::new(), |_| None);
        let error = error.map_err(|error| error.to_string());
        assert!(error.is_err_and(
            |error| error.contains("\"token\"") && error.contains("SPIN_VARIABLE_TOKEN")
        ));
        Ok(())
    }

    #[test]
    fn what_spin_refuses_is_refused_without_showing_values() {
        for (from, to, expected) in [
            ("version = 2", "version = 1", "only 2 is supported"),
            (
                "required = true, ",
                "",
                "must be `required` OR have a `default`",
            ),
            (
                "required = true",
                "required = true, default = \"s3cret\"",
                "`required` OR",
            ),
            ("required = true", "default = 123456", "must be a string"),
            ("required = true", "default = \"s3cret", "line "),
            ("token = {", "Token = {", "invalid character 'T'"),
            ("token }}", "tokens }}", "unknown variable \"tokens\""),
            (
                "component = \"cache\"",
                "component = \"c\"",
                "component \"c\": a [[trigger.http]] names it, but it is not defined",
            ),
            (
                "[[trigger.http]]",
                "[[trigger.redis]]",
                "unknown field `redis`",
            ),
            ("/base/...", "/:name/...", "named"),
            (
                "[variables]",
                "[application.trigger.http]\nbase = \"/base\"\n[variables]",
                "[application.trigger] is not supported",
            ),
            (
                "type = \"http\"",
                "type = \"wagi\"",
                "unknown variant `wagi`",
            ),
            (
                "executor =",
                "static_response = {}\nexecutor =",
                "unknown field `static_response`",
            ),
            (
                "source = \"dist",
                "environment = { A = \"s3cret\" }\nsource = \"dist",
                "component \"cache\": unknown field `environment`",
            ),
            (
                "source = \"dist",
                "key_value_stores = [\"b@d\"]\nsource = \"dist",
                "component \"cache\": key_value_stores label \"b@d\": expected kebab-case or snake_case",
            ),
            (
                "read_token = \"{{ token }}\"",
                "read_token = 123456",
                "must be a string",
            ),
            (
                "command = \"make\"",
                "command = \"make\"\n[component.cache.dependencies]\n\"a:b\" = \"1\"",
                "component \"cache\": dependency 'a:b': it comes from a registry",
            ),
            (
                "command = \"make\"",
                "command = \"make\"\n[component.cache.dependencies]\n\"a:b\" = { component = \"cache\" }",
                "Component cache cannot be used as a dependency of cache because it specifies: allowed_outbound_hosts, dependencies, variables",
            ),
        ] {
            assert!(MANIFEST.contains(from), "{from}");
            let error = parse(&MANIFEST.replacen(from, to, 1))
                .and_then(|manifest| {
                    let variables =
                        manifest.application_variables(&map(&[("token", "s3cret")]), |_| None)?;
                    manifest.components[0].variables(&variables)
                })
                .map_err(|error| format!("{error:#}"));
            assert!(
                error.as_ref().is_err_and(|error| error.contains(expected)
                    && !error.contains("s3cret")
                    && !error.contains("123456")),
                "{to}: {error:?}"
            );
        }
    }
}
