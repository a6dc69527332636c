//! The part of `spin.toml`, version 2, that an application with one HTTP component needs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::{route::Route, template, variables::check_name};

/// An application manifest: one component behind one route, and the variables it is given.
pub(crate) struct Manifest {
    variables: BTreeMap<String, Variable>,
    pub(crate) route: Route,
    pub(crate) component_id: String,
    pub(crate) component: Component,
}

/// A section `[component.ID]`.
#[derive(Deserialize)]
pub(crate) struct Component {
    /// Relative to the manifest.
    pub(crate) source: PathBuf,
    #[serde(default)]
    pub(crate) allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct File {
    spin_manifest_version: u32,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: Triggers,
    #[serde(default)]
    component: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    #[serde(default)]
    http: Vec<HttpTrigger>,
}

#[derive(Deserialize)]
struct HttpTrigger {
    route: String,
    component: String,
}

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
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        // The parser's own display shows the line, which may hold a secret.
        let file: File = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            anyhow::anyhow!("line {line}: {}", error.message())
        })?;
        ensure!(
            file.spin_manifest_version == 2,
            "spin_manifest_version is {}, only 2 is supported",
            file.spin_manifest_version
        );
        for (name, variable) in &file.variables {
            check_name(name).map_err(|error| anyhow::anyhow!("variable {error}"))?;
            ensure!(
                variable.required != variable.default.is_some(),
                "variable {name:?} must be `required` OR have a `default`"
            );
            ensure!(
                variable.default.as_ref().is_none_or(toml::Value::is_str),
                "the default of variable {name:?} must be a string"
            );
        }
        let [trigger] = &file.trigger.http[..] else {
            bail!(
                "there must be exactly one [[trigger.http]], but there are {}",
                file.trigger.http.len()
            );
        };
        let mut components = file.component;
        let component = components.remove(&trigger.component).with_context(|| {
            format!(
                "[[trigger.http]] names the component {:?}, which is not defined",
                trigger.component
            )
        })?;
        for name in component.variables.keys() {
            check_name(name).map_err(|error| anyhow::anyhow!("variable {error}"))?;
        }
        Ok(Self {
            variables: file.variables,
            route: Route::new(&trigger.route)?,
            component_id: trigger.component.clone(),
            component,
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

    /// The component's own variables, which are all it sees.
    pub(crate) fn component_variables(
        &self,
        application_variables: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        let resolve = |(name, template): (&String, &String)| {
            let value = template::resolve(template, application_variables)
                .with_context(|| format!("component variable {name:?}"))?;
            Ok((name.clone(), value))
        };
        self.component.variables.iter().map(resolve).collect()
    }
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

    #[test]
    fn a_manifest_is_read() -> Result<()> {
        let manifest = Manifest::parse(MANIFEST)?;
        assert_eq!(manifest.component_id, "cache");
        assert_eq!(manifest.component.source, Path::new("dist/cache.wasm"));
        assert_eq!(
            manifest.component.allowed_outbound_hosts,
            ["{{ redis_address }}"]
        );
        assert_eq!(manifest.route.to_string(), "/base (wildcard)");
        Ok(())
    }

    #[test]
    fn variables_come_from_arguments_then_environment_then_default() -> Result<()> {
        let manifest = Manifest::parse(MANIFEST)?;
        let environment = |name: &str| (name == "SPIN_VARIABLE_TOKEN").then(|| "e".to_owned());
        let resolve = |given: &[(&str, &str)]| {
            let variables = manifest.application_variables(&map(given), environment)?;
            manifest.component_variables(&variables)
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
        let manifest = Manifest::parse(MANIFEST)?;
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
                "\"c\", which is not defined",
            ),
            (
                "[[trigger.http]]",
                "[[trigger.redis]]",
                "unknown field `redis`",
            ),
            (
                "[[trigger.http]]",
                "[[trigger.http]]\nroute = \"/\"\ncomponent = \"a\"\n[[trigger.http]]",
                "there are 2",
            ),
            ("/base/...", "/:name/...", "named"),
        ] {
            assert!(MANIFEST.contains(from), "{from}");
            let error = Manifest::parse(&MANIFEST.replacen(from, to, 1))
                .and_then(|manifest| {
                    let variables =
                        manifest.application_variables(&map(&[("token", "s3cret")]), |_| None)?;
                    manifest.component_variables(&variables)
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
