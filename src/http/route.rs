//! The routes: one table, from which routing, `405` with `Allow`, the checks of `openapi.json` and the
//! tests follow.

/// The prefix of the paths in [`ROUTES`].
pub const BASE: &str = "/v1/provider-connections";

/// The access that a route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No token: the answer reveals nothing of any connection.
    Anyone,
    /// A read token or a write token.
    Read,
    /// A write token.
    Write,
}

/// The endpoint that a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "openapi.json describes each")]
pub enum Endpoint {
    Get,
    Put,
    Delete,
    Lookup,
    Live,
    Ready,
    Openapi,
    Metrics,
    Stats,
}

impl Endpoint {
    /// Returns true if the endpoint concerns the service itself, and not connections.
    fn is_about_the_service(self) -> bool {
        matches!(
            self,
            Self::Live | Self::Ready | Self::Openapi | Self::Metrics | Self::Stats
        )
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Route {
    /// The method. `GET` also serves `HEAD` (RFC 9110, section 9.3.2), and every path `OPTIONS`.
    pub method: &'static str,
    /// The path under [`BASE`]. Endpoints of the service itself are at the root too, where probes and
    /// tools look for them.
    pub path: &'static str,
    /// The known query parameters. Others are refused.
    pub query: &'static [&'static str],
    /// The required access.
    pub access: Access,
    pub(super) endpoint: Endpoint,
}

const fn route(
    method: &'static str,
    path: &'static str,
    query: &'static [&'static str],
    access: Access,
    endpoint: Endpoint,
) -> Route {
    Route {
        method,
        path,
        query,
        access,
        endpoint,
    }
}

/// The path of a single connection.
const ONE: &str = "/{id}";

/// All routes.
pub const ROUTES: &[Route] = &[
    route(
        "GET",
        ONE,
        &["view", "user_id"],
        Access::Read,
        Endpoint::Get,
    ),
    route("PUT", ONE, &["ttl"], Access::Write, Endpoint::Put),
    route("DELETE", ONE, &[], Access::Write, Endpoint::Delete),
    route("POST", "/lookup", &[], Access::Read, Endpoint::Lookup),
    route("GET", "/openapi.json", &[], Access::Read, Endpoint::Openapi),
    route("GET", "/metrics", &[], Access::Read, Endpoint::Metrics),
    route("GET", "/stats", &["hours"], Access::Read, Endpoint::Stats),
    route("GET", "/health/live", &[], Access::Anyone, Endpoint::Live),
    route("GET", "/health/ready", &[], Access::Anyone, Endpoint::Ready),
];

/// The result of looking for a route.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Route {
        route: &'static Route,
        /// The text in the place of `{id}`. Empty if the path has none.
        id: &'a str,
    },
    /// The path exists, but not with this method.
    OtherMethod {
        /// The path in the table.
        path: &'static str,
    },
    Nothing,
}

impl Found<'_> {
    /// Returns the access that is required to learn the result. Without the read token, nobody learns
    /// even whether a path exists.
    pub(super) fn access(&self) -> Access {
        match self {
            Self::Route { route, .. } => route.access,
            Self::OtherMethod { path } => {
                rows(path).next().map_or(Access::Read, |route| route.access)
            }
            Self::Nothing => Access::Read,
        }
    }
}

/// Finds the route of a request.
pub(super) fn find<'a>(method: &str, path: &'a str) -> Found<'a> {
    let Some((path, id)) = pattern(path) else {
        return Found::Nothing;
    };
    let wanted = if method == "HEAD" { "GET" } else { method };
    match rows(path).find(|route| route.method == wanted) {
        Some(route) => Found::Route { route, id },
        None => Found::OtherMethod { path },
    }
}

/// Returns the rows with a path of the table.
fn rows(path: &str) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| route.path == path)
}

/// Returns the path in the table that matches a path, and the text in the place of `{id}`.
fn pattern(path: &str) -> Option<(&'static str, &str)> {
    let whole = |local: &str, at_root: bool| {
        let route = ROUTES.iter().find(|route| route.path == local)?;
        let there = !at_root || route.endpoint.is_about_the_service();
        there.then_some((route.path, ""))
    };
    let Some(local) = path.strip_prefix(BASE) else {
        return whole(path, true);
    };
    whole(local, false).or_else(|| {
        let id = local.strip_prefix('/')?;
        let is_one_segment = !id.is_empty() && !id.contains('/');
        is_one_segment.then_some((ONE, id))
    })
}

/// Returns the `{id}` of a path, if `GET` of it is a lookup of one connection.
pub fn single_connection(path: &str) -> Option<&str> {
    match find("GET", path) {
        Found::Route { route, id } if route.endpoint == Endpoint::Get => Some(id),
        _ => None,
    }
}

/// Returns the methods of a path of the table, as the value of `Allow`.
pub(super) fn allow(path: &str) -> String {
    let mut allow = String::new();
    for row in rows(path) {
        allow.push_str(row.method);
        allow.push_str(if row.method == "GET" {
            ", HEAD, "
        } else {
            ", "
        });
    }
    allow + "OPTIONS"
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192f3a4-5b6c-7d8e-9f00-000000000001";

    #[test]
    fn every_row_is_found_by_its_method_and_path() {
        for row in ROUTES {
            let path = format!("{BASE}{}", row.path.replace("{id}", ID));
            for method in [row.method]
                .into_iter()
                .chain((row.method == "GET").then_some("HEAD"))
            {
                let Found::Route { route, id } = find(method, &path) else {
                    panic!("{method} {path} is not found");
                };
                assert_eq!(route.endpoint, row.endpoint);
                assert_eq!(id, if row.path == ONE { ID } else { "" });
            }
        }
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        let cases = [
            (
                format!("{BASE}/{ID}"),
                "GET, HEAD, PUT, DELETE, OPTIONS",
                Access::Read,
            ),
            (format!("{BASE}/lookup"), "POST, OPTIONS", Access::Read),
            (
                "/health/live".to_owned(),
                "GET, HEAD, OPTIONS",
                Access::Anyone,
            ),
            (
                "/openapi.json".to_owned(),
                "GET, HEAD, OPTIONS",
                Access::Read,
            ),
        ];
        for (path, methods, who) in cases {
            for method in ["PATCH", "OPTIONS", "get", ""] {
                let found = find(method, &path);
                assert_eq!(found.access(), who);
                let Found::OtherMethod { path } = found else {
                    panic!("{method} {path}");
                };
                assert_eq!(allow(path), methods);
            }
        }
    }

    #[test]
    fn what_is_about_the_service_is_at_the_root_too_and_nothing_else_is() {
        for row in ROUTES {
            let there = matches!(find(row.method, row.path), Found::Route { .. });
            assert_eq!(there, row.endpoint.is_about_the_service(), "{}", row.path);
        }
        for path in [
            "/",
            "",
            BASE,
            "/v1",
            &format!("{BASE}/"),
            &format!("{BASE}/{ID}/"),
            &format!("{BASE}/{ID}/x"),
            &format!("{BASE}//{ID}"),
            &format!("/{BASE}/{ID}"),
            &format!("//evil.example{BASE}/{ID}"),
            &format!("{BASE}s/{ID}"),
            &format!("/v2/provider-connections/{ID}"),
            &format!("/provider-connections/{ID}"),
            &format!("{}/{ID}", BASE.to_uppercase()),
            &format!("/v1/./provider-connections/{ID}"),
            &format!("/v1/provider%2Dconnections/{ID}"),
        ] {
            assert!(matches!(find("GET", path), Found::Nothing), "{path}");
        }
    }
}
