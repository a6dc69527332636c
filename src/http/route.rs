//! The routes: one table, from which routing, `405` with `Allow`, the checks of
//! `openapi.json` and the tests follow.

/// What the paths of [`ROUTES`] are under.
pub const BASE: &str = "/v1/provider-connections";

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody: it says nothing of any connection.
    Anyone,
    /// Who shows the read token or the write token.
    Read,
    /// Who shows the write token.
    Write,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is a function of the same name in `operation`"
)]
pub enum Operation {
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

impl Operation {
    /// Whether it is about the service itself, and not about connections.
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
    /// The method. `GET` also serves `HEAD` (RFC 9110, section 9.3.2).
    pub method: &'static str,
    /// The path under [`BASE`]. What is about the service itself is at the root too,
    /// where probes and tools look for it.
    pub path: &'static str,
    /// The query parameters it knows. Others are refused.
    pub query: &'static [&'static str],
    /// Who may use it.
    pub access: Access,
    /// What it does.
    pub operation: Operation,
}

const fn route(
    method: &'static str,
    path: &'static str,
    query: &'static [&'static str],
    access: Access,
    operation: Operation,
) -> Route {
    Route {
        method,
        path,
        query,
        access,
        operation,
    }
}

/// The path of the routes of one connection.
const ONE: &str = "/{id}";

/// Every route there is.
pub const ROUTES: &[Route] = &[
    route(
        "GET",
        ONE,
        &["view", "user_id"],
        Access::Read,
        Operation::Get,
    ),
    route("PUT", ONE, &["ttl"], Access::Write, Operation::Put),
    route("DELETE", ONE, &[], Access::Write, Operation::Delete),
    route("POST", "/lookup", &[], Access::Read, Operation::Lookup),
    route(
        "GET",
        "/openapi.json",
        &[],
        Access::Read,
        Operation::Openapi,
    ),
    route("GET", "/metrics", &[], Access::Read, Operation::Metrics),
    route("GET", "/stats", &["hours"], Access::Read, Operation::Stats),
    route("GET", "/health/live", &[], Access::Anyone, Operation::Live),
    route(
        "GET",
        "/health/ready",
        &[],
        Access::Anyone,
        Operation::Ready,
    ),
];

/// What there is for a request.
#[derive(Debug)]
pub enum Found<'a> {
    /// Its route, and the `{id}` of its path, as it is written there.
    Route {
        /// The row.
        route: &'static Route,
        /// The text where the row has `{id}`; empty where it has none.
        id: &'a str,
    },
    /// The path, but not with this method.
    OtherMethod {
        /// The path of the rows that are there for it.
        path: &'static str,
    },
    /// No such path.
    Nothing,
}

impl Found<'_> {
    /// Who may know what was found. What is for nobody in particular is for those who
    /// may read: others do not even learn whether it is there.
    pub fn access(&self) -> Access {
        match self {
            Self::Route { route, .. } => route.access,
            Self::OtherMethod { path } => {
                rows(path).next().map_or(Access::Read, |route| route.access)
            }
            Self::Nothing => Access::Read,
        }
    }
}

/// Finds what a request asks for.
pub fn find<'a>(method: &str, path: &'a str) -> Found<'a> {
    let Some((path, id)) = pattern(path) else {
        return Found::Nothing;
    };
    let wanted = if method == "HEAD" { "GET" } else { method };
    match rows(path).find(|route| route.method == wanted) {
        Some(route) => Found::Route { route, id },
        None => Found::OtherMethod { path },
    }
}

/// The rows of a path of the table.
fn rows(path: &str) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| route.path == path)
}

/// The path in the table that matches a path, and what stands for `{id}` in it.
fn pattern(path: &str) -> Option<(&'static str, &str)> {
    let whole = |local: &str, at_root: bool| {
        let route = ROUTES.iter().find(|route| route.path == local)?;
        let there = !at_root || route.operation.is_about_the_service();
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

/// The methods of a path of the table: the value of `Allow`.
pub fn allow(path: &str) -> String {
    let mut allow = String::new();
    for row in rows(path) {
        if !allow.is_empty() {
            allow.push_str(", ");
        }
        allow.push_str(row.method);
        if row.method == "GET" {
            allow.push_str(", HEAD");
        }
    }
    allow
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
                assert_eq!(route.operation, row.operation);
                assert_eq!(id, if row.path == ONE { ID } else { "" });
            }
        }
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        let cases = [
            (
                format!("{BASE}/{ID}"),
                "GET, HEAD, PUT, DELETE",
                Access::Read,
            ),
            (format!("{BASE}/lookup"), "POST", Access::Read),
            ("/health/live".to_owned(), "GET, HEAD", Access::Anyone),
            ("/openapi.json".to_owned(), "GET, HEAD", Access::Read),
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
            assert_eq!(there, row.operation.is_about_the_service(), "{}", row.path);
        }
        for path in [
            "/",
            "",
            BASE,
            "/v1",
            &format!("{BASE}/"),
            &format!("{BASE}/{ID}/x"),
        ] {
            assert!(matches!(find("GET", path), Found::Nothing), "{path}");
        }
    }
}
