//! The routes of an application, and which of them a path takes.

use std::{cmp::Reverse, fmt};

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

/// What Spin answers itself.
pub(crate) const WELL_KNOWN_PREFIX: &str = "/.well-known/spin/";

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

    /// What routes are tried in the order of: exact ones first, then the longest wildcards.
    fn precedence(&self) -> Option<Reverse<usize>> {
        let prefix = self.absolute.strip_suffix(WILDCARD)?;
        Some(Reverse(prefix.matches('/').count()))
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

/// The routes of an application, each with the id of its component, in the order in which they are
/// tried.
pub(crate) struct Routes(Vec<(Route, String)>);

/// Where a path leads.
pub(crate) struct RouteMatch<'a> {
    pub(crate) route: &'a Route,
    pub(crate) component: &'a str,
    /// What the wildcard stands for.
    pub(crate) path_info: String,
}

impl Routes {
    /// Of routes that are written in the same way, the last one counts, as in Spin. What Spin says
    /// of those that no request will take is handed to `warn`.
    pub(crate) fn new(
        routes: impl IntoIterator<Item = (Route, String)>,
        mut warn: impl FnMut(&str),
    ) -> Self {
        let mut distinct: Vec<(Route, String)> = Vec::new();
        for (route, component) in routes {
            if route.absolute.starts_with(WELL_KNOWN_PREFIX) {
                warn(&format!(
                    "Routes under {WELL_KNOWN_PREFIX} are handled by the host and will never be reached: {route}"
                ));
            }
            match distinct.iter_mut().find(|(same, _)| same.raw == route.raw) {
                Some((_, replaced)) => {
                    warn(&format!(
                        "The component route is a duplicate and will never be used: {replaced}: {route} (duplicate of {component})"
                    ));
                    *replaced = component;
                }
                None => distinct.push((route, component)),
            }
        }
        distinct.sort_by_key(|(route, _)| route.precedence());
        Self(distinct)
    }

    /// The most specific route that matches `path`.
    pub(crate) fn find(&self, path: &str) -> Option<RouteMatch<'_>> {
        self.0.iter().find_map(|(route, component)| {
            Some(RouteMatch {
                route,
                component,
                path_info: route.matches(path)?,
            })
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Route, &str)> {
        self.0
            .iter()
            .map(|(route, component)| (route, component.as_str()))
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

    fn routes(raw: &[(&str, &str)], warnings: &mut Vec<String>) -> Result<Routes> {
        let routes = raw
            .iter()
            .map(|(raw, component)| Ok((Route::new(raw)?, (*component).to_owned())))
            .collect::<Result<Vec<_>>>()?;
        Ok(Routes::new(routes, |warning| {
            warnings.push(warning.to_owned());
        }))
    }

    #[test]
    fn the_most_specific_route_wins_wherever_it_stands() -> Result<()> {
        let mut raw = [
            ("/...", "all"),
            ("/one/...", "one"),
            ("/one/two/...", "two"),
            ("/one/two", "exact"),
            ("/", "root"),
        ];
        for _ in 0..2 {
            let mut warnings = Vec::new();
            let routes = routes(&raw, &mut warnings)?;
            for (path, expected, path_info) in [
                ("/", "root", ""),
                ("/a", "all", "/a"),
                ("/onely", "all", "/onely"),
                ("/one", "one", ""),
                ("/one/", "one", "/"),
                ("/one/twofold", "one", "/twofold"),
                ("/one/two", "exact", ""),
                ("/one/two/three", "two", "/three"),
            ] {
                let found = routes.find(path);
                let found = found.map(|found| (found.component, found.path_info));
                assert_eq!(found, Some((expected, path_info.to_owned())), "{path}");
            }
            assert_eq!(warnings, [""; 0]);
            raw.reverse();
        }
        Ok(())
    }

    #[test]
    fn what_no_route_matches_is_not_found() -> Result<()> {
        let routes = routes(&[("/one/...", "one"), ("/two", "two")], &mut Vec::new())?;
        assert!(routes.find("/").is_none());
        assert!(routes.find("/two/three").is_none());
        Ok(())
    }

    #[test]
    fn of_duplicates_the_last_counts_and_the_others_are_named() -> Result<()> {
        let mut warnings = Vec::new();
        let raw = [("/a", "first"), ("/b", "b"), ("/a", "second")];
        let routes = routes(&raw, &mut warnings)?;
        let found = routes.find("/a").map(|found| found.component);
        assert_eq!(found, Some("second"));
        assert_eq!(routes.iter().count(), 2);
        assert_eq!(
            warnings,
            [
                "The component route is a duplicate and will never be used: first: /a (duplicate of second)"
            ]
        );
        Ok(())
    }

    #[test]
    fn of_routes_that_only_mean_the_same_the_first_counts() -> Result<()> {
        let routes = routes(&[("/a/", "first"), ("a", "second")], &mut Vec::new())?;
        let found = routes.find("/a").map(|found| found.component);
        assert_eq!(found, Some("first"));
        Ok(())
    }

    #[test]
    fn a_reserved_route_is_named() -> Result<()> {
        let mut warnings = Vec::new();
        routes(&[("/.well-known/spin/health", "a")], &mut warnings)?;
        assert!(warnings[0].contains("/.well-known/spin/health"));
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
