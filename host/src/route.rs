//! The one route of an application.

use std::fmt;

use anyhow::{Result, ensure};

/// A route of a manifest: exact, or with `/...` at its end for everything below.
#[derive(Debug)]
pub(crate) struct Route {
    /// As the manifest has it.
    pub(crate) raw: String,
    /// Absolute, and without a slash at its end.
    pub(crate) absolute: String,
}

const WILDCARD: &str = "/...";

impl Route {
    pub(crate) fn new(raw: &str) -> Result<Self> {
        let absolute = format!("/{}", raw.strip_prefix('/').unwrap_or(raw));
        let absolute = absolute.strip_suffix('/').unwrap_or(&absolute).to_owned();
        let segments = absolute.trim_end_matches(WILDCARD);
        ensure!(
            !segments.contains(['*', ':']),
            "route {raw:?}: this host knows neither named segments nor wildcards other than a trailing /..."
        );
        Ok(Self {
            raw: raw.to_owned(),
            absolute,
        })
    }

    /// The route as it was written, without the wildcard.
    pub(crate) fn raw_prefix(&self) -> &str {
        self.raw.strip_suffix(WILDCARD).unwrap_or(&self.raw)
    }

    /// If the route matches `path`, what the wildcard stands for. A slash at the end of the path
    /// does not matter to the match, but is kept.
    pub(crate) fn matches(&self, path: &str) -> Option<String> {
        let trimmed = path.trim_matches('/');
        let Some(prefix) = self.absolute.strip_suffix(WILDCARD) else {
            return (trimmed == self.absolute.trim_matches('/')).then(String::new);
        };
        let prefix = prefix.trim_matches('/');
        let below = match trimmed.strip_prefix(prefix)? {
            below if prefix.is_empty() => below,
            "" => "",
            below => below.strip_prefix('/')?,
        };
        let slash = if path.ends_with('/') { "/" } else { "" };
        Some(match below {
            "" => slash.to_owned(),
            below => format!("/{below}{slash}"),
        })
    }
}

/// As Spin prints the routes it serves.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.absolute.strip_suffix(WILDCARD) {
            Some(prefix) => write!(f, "{prefix} (wildcard)"),
            None => f.write_str(&self.absolute),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_match_as_in_spin() -> Result<()> {
        for (route, path, expected) in [
            ("/...", "/", Some("/")),
            ("/...", "/a/b", Some("/a/b")),
            ("/...", "/a/", Some("/a/")),
            ("/base/...", "/base", Some("")),
            ("/base/...", "/base/", Some("/")),
            ("/base/...", "/base/a", Some("/a")),
            ("/base/...", "/base/a/", Some("/a/")),
            ("base/...", "/base/a", Some("/a")),
            ("/base/...", "/based", None),
            ("/base/...", "/", None),
            ("/exact", "/exact", Some("")),
            ("/exact", "/exact/", Some("")),
            ("/exact", "/exact/a", None),
            ("/", "/", Some("")),
            ("/", "/a", None),
        ] {
            let matched = Route::new(route)?.matches(path);
            assert_eq!(matched.as_deref(), expected, "{route} {path}");
        }
        Ok(())
    }

    #[test]
    fn the_prefix_is_as_it_was_written() -> Result<()> {
        assert_eq!(Route::new("/base/...")?.raw_prefix(), "/base");
        assert_eq!(Route::new("/...")?.raw_prefix(), "");
        assert_eq!(Route::new("/exact")?.raw_prefix(), "/exact");
        Ok(())
    }

    #[test]
    fn other_patterns_are_refused() {
        assert!(Route::new("/:id").is_err());
        assert!(Route::new("/a/*").is_err());
    }
}
