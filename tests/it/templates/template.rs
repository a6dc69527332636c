//! A Spin template, read and put into files as Spin 4.1 does (its `crates/templates`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use toml::Table;

use crate::support::{in_repository, said_by_python};

/// `metadata/spin-template.toml`. Spin refuses what it does not know, at every level.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    manifest_version: String,
    id: String,
    #[serde(rename = "description")]
    _description: String,
    #[serde(rename = "tags")]
    _tags: Vec<String>,
    add_component: AddComponent,
    parameters: BTreeMap<String, Parameter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddComponent {
    skip_files: Vec<String>,
    skip_parameters: Vec<String>,
    snippets: Snippets,
}

/// What Spin adds to a manifest: the one at its end, the other to its `[variables]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Snippets {
    component: String,
    variables: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    r#type: String,
    #[serde(rename = "prompt")]
    _prompt: String,
    default: String,
    #[serde(rename = "pattern")]
    _pattern: Option<IgnoredAny>,
}

/// A directory of `templates/`, rendered as with `--accept-defaults`.
pub struct Template {
    directory: PathBuf,
    metadata: Metadata,
}

impl Template {
    pub fn read(name: &str) -> Self {
        let directory = in_repository("templates").join(name);
        let text = fs::read_to_string(directory.join("metadata/spin-template.toml")).unwrap();
        let metadata: Metadata = toml::from_str(&text).unwrap();
        assert_eq!(metadata.manifest_version, "1");
        assert_eq!(metadata.id, name);
        for (name, parameter) in &metadata.parameters {
            assert_eq!(parameter.r#type, "string", "{name}");
        }
        Self {
            directory,
            metadata,
        }
    }

    /// `spin new NAME --output DIRECTORY`.
    pub fn new_application(&self, name: &str, directory: &Path) -> PathBuf {
        let values = self.values(name, "not used", &[]);
        self.write_content(&values, directory, &[]);
        directory.join("spin.toml")
    }

    /// `spin add NAME --output OUTPUT --file MANIFEST`.
    pub fn add(&self, name: &str, output: &str, manifest: &Path) {
        let AddComponent {
            skip_files,
            skip_parameters,
            snippets,
        } = &self.metadata.add_component;
        let values = self.values(name, output, skip_parameters);
        let directory = manifest.parent().unwrap().join(output);
        self.write_content(&values, &directory, skip_files);

        let sources = [&snippets.component, &snippets.variables].map(|file| {
            let file = self.directory.join("metadata/snippets").join(file);
            fs::read_to_string(file).unwrap()
        });
        let rendered = render(&values, &sources);
        let existing = fs::read_to_string(manifest).unwrap();
        let appended = format!("{}\n\n{}", existing.trim_end(), rendered[0]);
        let mut merged: Table = appended.parse().unwrap();
        let variables = merged
            .entry("variables")
            .or_insert_with(|| Table::new().into());
        let added: Table = rendered[1].parse().unwrap();
        variables.as_table_mut().unwrap().extend(added);
        fs::write(manifest, merged.to_string()).unwrap();
    }

    /// What the sources may refer to.
    fn values(&self, name: &str, output: &str, skip_parameters: &[String]) -> Value {
        let mut values = json!({
            "project-name": name,
            "output-path": output,
            "authors": "Some Body <some.body@example.com>",
            "username": "Some Body",
        });
        for (name, parameter) in &self.metadata.parameters {
            if !skip_parameters.contains(name) {
                values[name] = json!(parameter.default);
            }
        }
        values
    }

    /// Text is rendered, and all else is copied.
    fn write_content(&self, values: &Value, to: &Path, skip_files: &[String]) {
        fs::create_dir_all(to).unwrap();
        let mut sources = Vec::new();
        let mut files = Vec::new();
        for entry in fs::read_dir(self.directory.join("content")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if skip_files.contains(&name) {
                continue;
            }
            let content = fs::read(entry.path())
                .unwrap_or_else(|error| panic!("{name}: {error}: run `make build` first"));
            match String::from_utf8(content) {
                Ok(source) => {
                    sources.push(source);
                    files.push(to.join(name));
                }
                Err(binary) => fs::write(to.join(name), binary.as_bytes()).unwrap(),
            }
        }
        for (file, text) in files.iter().zip(render(values, &sources)) {
            fs::write(file, text).unwrap();
        }
    }
}

/// With another implementation of Liquid than Spin's, which takes a minute to build.
fn render(values: &Value, sources: &[String]) -> Vec<String> {
    let task = json!({ "values": values, "sources": sources });
    let rendered = said_by_python("tests/it/templates/render.py", &task.to_string());
    rendered.unwrap_or_else(|| panic!("this cannot be rendered: {sources:#?}"))
}
