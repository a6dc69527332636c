//! `{{ name }}` templates, as in Spin's manifests.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

/// Replaces every `{{ name }}` in `template` by the application variable of that name.
pub(crate) fn resolve(template: &str, variables: &BTreeMap<String, String>) -> Result<String> {
    let mut resolved = String::new();
    let mut rest = template;
    while let Some((literal, expression)) = rest.split_once("{{") {
        let Some((name, tail)) = expression.split_once("}}") else {
            bail!("invalid variable template: unmatched '{{{{' in template");
        };
        let name = name.trim();
        let value = variables.get(name).with_context(|| {
            format!(
                "invalid variable template: unknown variable {name:?}; declare it under [variables]"
            )
        })?;
        resolved.push_str(literal);
        resolved.push_str(value);
        rest = tail;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// Whether `template` refers to no variable at all.
pub(crate) fn is_literal(template: &str) -> bool {
    !template.contains("{{")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> BTreeMap<String, String> {
        [("host", "localhost"), ("port", "6379"), ("empty", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn templates_resolve() -> Result<()> {
        for (template, expected) in [
            ("", ""),
            ("literal", "literal"),
            ("{ host }", "{ host }"),
            ("}}", "}}"),
            ("{{ host }}", "localhost"),
            ("{{host}}", "localhost"),
            ("redis://{{ host }}:{{ port }}/", "redis://localhost:6379/"),
            ("{{ host }}{{ port }}", "localhost6379"),
            ("{{ empty }}", ""),
        ] {
            assert_eq!(resolve(template, &variables())?, expected, "{template:?}");
        }
        Ok(())
    }

    #[test]
    fn a_value_is_not_a_template() -> Result<()> {
        let variables = [("a".to_owned(), "{{ b }}".to_owned())].into();
        assert_eq!(resolve("{{ a }}", &variables)?, "{{ b }}");
        Ok(())
    }

    #[test]
    fn bad_templates_are_errors() {
        for (template, expected) in [
            ("{{ host }} {{ port", "unmatched '{{'"),
            ("{{ absent }}", "unknown variable \"absent\""),
        ] {
            let error = resolve(template, &variables()).map_err(|error| error.to_string());
            assert!(
                error.as_ref().is_err_and(|error| error.contains(expected)),
                "{template:?}: {error:?}"
            );
        }
    }
}
