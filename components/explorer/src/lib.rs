//! The explorer: a page for operators. It shows the entry of a connection, lists entries page by page,
//! drops an entry, draws the counts, and shows whether Redis is well.
//!
//! It is a component of its own, which imports the cache: not a byte of it is in the path of a lookup.
//! A browser loads [`page`], the page calls [`api`], and [`gate`] checks the token.

pub mod api;
pub mod gate;
pub mod page;

#[cfg(target_family = "wasm")]
mod component;

use provider_connection_cache::http::answer::Answer;
use provider_connection_cache::http::problem::{Kind, Problem};
use provider_connection_cache::http::request::Head;

use self::api::ApiCall;
use self::gate::Gate;

/// The path of its route in spin.toml.
pub const BASE: &str = "/explorer";

/// The target of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A file of the page.
    File(&'static page::File),
    /// The page, but at a path without its slash.
    Redirect,
    /// A call of the page.
    Api(ApiCall),
}

impl Target {
    /// Parses a request. A caller without the token sees the page alone, and not even whether another
    /// path exists.
    pub fn parse(gate: &Gate, head: &impl Head) -> Result<Self, Problem> {
        if gate.is_off() {
            let detail = "the explorer is off: set the variable explorer_token";
            return Err(Problem::new(Kind::NoSuchPage, detail));
        }
        let (path, query) = head.path_and_query();
        let local = path.strip_prefix(BASE).unwrap_or(path);
        if local.is_empty() {
            return only_get(head).map(|()| Self::Redirect);
        }
        if let Some(file) = page::file(local) {
            return only_get(head).map(|()| Self::File(file));
        }
        gate.require(head)?;
        let call = ApiCall::parse(head.method(), local, query)?;
        Ok(Self::Api(call))
    }
}

fn only_get(head: &impl Head) -> Result<(), Problem> {
    match head.method() {
        "GET" | "HEAD" => Ok(()),
        _ => Err(Problem::not_allowed("GET, HEAD".to_owned())),
    }
}

/// Adds headers that protect the page in a browser. It loads only its own files, connects only to its
/// own server, runs no inline script, and cannot be framed.
pub fn protected(answer: Answer) -> Answer {
    answer
        .header("content-security-policy", page::POLICY)
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "no-referrer")
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "explorer-token-explorer-token-00";

    struct Request<'a> {
        method: &'a str,
        target: &'a str,
        token: &'a str,
    }

    impl Head for Request<'_> {
        fn method(&self) -> &str {
            self.method
        }

        fn path_and_query(&self) -> (&str, &str) {
            self.target.split_once('?').unwrap_or((self.target, ""))
        }

        fn header(&self, name: &str) -> Option<Vec<u8>> {
            let shown = name == "authorization" && !self.token.is_empty();
            shown.then(|| format!("Bearer {}", self.token).into_bytes())
        }
    }

    fn gate(text: &str) -> Gate {
        Gate::new(Gate::parse(text))
    }

    fn status(gate: &Gate, method: &str, target: &str, token: &str) -> u16 {
        let head = Request {
            method,
            target,
            token,
        };
        match Target::parse(gate, &head) {
            Ok(_) => 200,
            Err(problem) => problem.kind().status(),
        }
    }

    #[test]
    fn the_page_is_for_everybody_and_what_it_asks_is_not() {
        let gate = gate(TOKEN);
        let id = "/explorer/api/connections/0192f3a4-5b6c-7d8e-9f00-000000000001";
        for (method, target, with, without) in [
            ("GET", "/explorer", 200, 200),
            ("GET", "/explorer/", 200, 200),
            ("HEAD", "/explorer/app.js", 200, 200),
            ("POST", "/explorer/", 405, 405),
            ("GET", id, 200, 401),
            ("HEAD", id, 200, 401),
            ("DELETE", id, 200, 401),
            ("PUT", id, 405, 401),
            ("GET", "/explorer/api/connections", 200, 401),
            ("GET", "/explorer/api/connections?cursor=5", 200, 401),
            ("GET", "/explorer/api/connections?x=5", 400, 401),
            ("DELETE", "/explorer/api/connections", 405, 401),
            ("GET", "/explorer/api/connections/x/y", 404, 401),
            ("GET", "/explorer/api/stats?hours=24", 200, 401),
            ("GET", "/explorer/api/stats?hours=49", 400, 401),
            ("GET", "/explorer/api/redis", 200, 401),
            ("GET", "/explorer/api/redis?x=5", 400, 401),
            ("DELETE", "/explorer/api/redis", 405, 401),
            ("GET", "/explorer/nothing", 404, 401),
            ("GET", "/explorer/../spin.toml", 404, 401),
        ] {
            assert_eq!(
                status(&gate, method, target, TOKEN),
                with,
                "{method} {target}"
            );
            let wrong = TOKEN.replace('0', "1");
            for token in ["", &wrong, &TOKEN[1..]] {
                assert_eq!(
                    status(&gate, method, target, token),
                    without,
                    "{method} {target}"
                );
            }
        }
    }

    #[test]
    fn without_a_token_there_is_nothing() {
        for target in [
            "/explorer",
            "/explorer/",
            "/explorer/app.js",
            "/explorer/api/stats",
        ] {
            assert_eq!(status(&gate(""), "GET", target, ""), 404, "{target}");
            assert_eq!(status(&gate(""), "GET", target, TOKEN), 404, "{target}");
        }
        let wrong = gate("short");
        assert_eq!(status(&wrong, "GET", "/explorer/api/stats", "short"), 403);
    }
}
