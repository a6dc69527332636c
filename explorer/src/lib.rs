//! The explorer: a page for those who look after the cache. It shows what the cache holds of a
//! connection, pages through the ids, drops an entry, and draws what was counted.
//!
//! A component of its own, which imports the cache: not a byte of it is in the path of a lookup.
//! [`page`] is what a browser loads, [`api`] what the page asks, [`access`] who may ask.

pub mod access;
pub mod api;
pub mod page;

#[cfg(target_family = "wasm")]
pub mod component;

use provider_connection_cache::http::answer::Answer;
use provider_connection_cache::http::command::Head;
use provider_connection_cache::http::problem::{Kind, Problem};

use self::access::Access;

/// The path of the route that spin.toml gives it.
pub const BASE: &str = "/explorer";

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// A file of the page.
    File(&'static page::File),
    /// The page, where it is.
    Redirect,
    /// Something of the cache.
    Api(api::Command),
}

impl Command {
    /// Reads what is asked for. What shows the cache, or that there is more to see, is for those
    /// alone who show the token.
    pub fn parse(access: &Access, head: &impl Head) -> Result<Self, Problem> {
        if let Access::Off = access {
            let detail = "the explorer is off: set the variable explorer_token";
            return Err(Problem::new(Kind::NoSuchRoute, detail));
        }
        let (path, query) = head.path_and_query();
        let local = path.strip_prefix(BASE).unwrap_or(path);
        if local.is_empty() {
            return only_get(head).map(|()| Self::Redirect);
        }
        if let Some(file) = page::file(local) {
            return only_get(head).map(|()| Self::File(file));
        }
        access.require(head)?;
        let command = api::Command::parse(head.method(), local, query)?;
        Ok(Self::Api(command))
    }
}

fn only_get(head: &impl Head) -> Result<(), Problem> {
    match head.method() {
        "GET" | "HEAD" => Ok(()),
        _ => Err(Problem::not_allowed("GET, HEAD".to_owned())),
    }
}

/// What every answer says to a browser: this page loads what is its own, talks to nobody else,
/// runs no script that is written into it, and is shown in no other page.
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

    fn status(access: &Access, method: &str, target: &str, token: &str) -> u16 {
        let head = Request {
            method,
            target,
            token,
        };
        match Command::parse(access, &head) {
            Ok(_) => 200,
            Err(problem) => problem.kind().status(),
        }
    }

    #[test]
    fn the_page_is_for_everybody_and_what_it_asks_is_not() {
        let access = Access::parse(TOKEN);
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
            ("GET", "/explorer/nothing", 404, 401),
            ("GET", "/explorer/../spin.toml", 404, 401),
        ] {
            assert_eq!(
                status(&access, method, target, TOKEN),
                with,
                "{method} {target}"
            );
            let wrong = TOKEN.replace('0', "1");
            for token in ["", &wrong, &TOKEN[1..]] {
                assert_eq!(
                    status(&access, method, target, token),
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
            assert_eq!(
                status(&Access::parse(""), "GET", target, ""),
                404,
                "{target}"
            );
            assert_eq!(
                status(&Access::parse(""), "GET", target, TOKEN),
                404,
                "{target}"
            );
        }
        let wrong = Access::parse("short");
        assert_eq!(status(&wrong, "GET", "/explorer/api/stats", "short"), 403);
    }
}
