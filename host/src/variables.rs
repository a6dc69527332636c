//! `spin:variables/variables@3.0.0`, and the rules for names of variables.

use std::{collections::BTreeMap, sync::Arc};

use wasmtime::component::{Accessor, HasSelf};

use crate::bindings::spin::variables::variables::{Error, Host, HostWithStore};

/// The variables one component sees, resolved. Never printed: some are secret.
pub(crate) struct Variables {
    component: String,
    values: BTreeMap<String, String>,
}

impl Variables {
    pub(crate) fn new(component: &str, values: BTreeMap<String, String>) -> Self {
        Self {
            component: component.to_owned(),
            values,
        }
    }

    fn get(&self, name: &str) -> Result<String, Error> {
        check_name(name).map_err(Error::InvalidName)?;
        self.values.get(name).cloned().ok_or_else(|| {
            Error::Undefined(format!("no variable for {:?}.{name:?}", self.component))
        })
    }
}

/// Spin allows only names that survive the way to an environment variable and back.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
    let reason = if name.is_empty() {
        "must not be empty".to_owned()
    } else if let Some(invalid) = name.chars().find(|c| !allowed(c)) {
        format!(
            "invalid character {invalid:?}. Variable names may contain only lower-case letters, numbers, and underscores."
        )
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "must start with a lowercase ASCII letter".to_owned()
    } else if name.ends_with('_') {
        "must end with a lowercase ASCII letter or digit".to_owned()
    } else if name.contains("__") {
        "must not contain multiple consecutive underscores".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("{name:?}: {reason}"))
}

impl Host for Arc<Variables> {}

impl<T: Send> HostWithStore<T> for HasSelf<Arc<Variables>> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        accessor.with(|mut access| access.get().get(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_answers_as_spin_does() {
        let values = [("set".to_owned(), "value".to_owned())].into();
        let variables = Variables::new("cache", values);
        for (name, expected) in [
            ("set", "Ok(\"value\")"),
            (
                "unset",
                r#"Err(Error::Undefined("no variable for \"cache\".\"unset\""))"#,
            ),
            (
                "Bad",
                r#"Err(Error::InvalidName("\"Bad\": invalid character 'B'. Variable names may contain only lower-case letters, numbers, and underscores."))"#,
            ),
        ] {
            assert_eq!(format!("{:?}", variables.get(name)), expected);
        }
    }

    #[test]
    fn names_are_checked() {
        for name in ["a", "a1", "redis_address", "a_1"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", "1a", "_a", "a_", "a__b", "a-b", "A", "é"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
