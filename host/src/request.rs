//! What Spin does to a request before a component sees it.

use std::{net::SocketAddr, str};

use anyhow::{Context as _, Result, bail, ensure};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{CONNECTION, HOST},
    uri::{Authority, Scheme},
};

use crate::route::Route;

/// Removes what concerns only the server and its client.
pub(crate) fn strip_headers<B>(request: &mut Request<B>) {
    let headers = request.headers_mut();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(is_service_chaining) {
        headers.remove(HOST);
    }
    headers.remove(CONNECTION);
}

/// `COMPONENT.spin.internal`: only components of the same application may use that.
fn is_service_chaining(host: &str) -> bool {
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    host.split_once('.')
        .is_some_and(|(_, domain)| domain == "spin.internal")
}

/// Completes the request's URI, which over HTTP/1 is only a path. Fails if the authority is
/// missing or ambiguous.
pub(crate) fn complete_uri<B>(request: &mut Request<B>) -> Result<()> {
    let from_header: Option<Authority> = match request.headers().get(HOST) {
        Some(host) => Some(
            host.to_str()
                .context("'Host' header is not valid UTF-8")?
                .parse()
                .context("'Host' header contains an invalid authority")?,
        ),
        None => None,
    };
    let mut parts = request.uri().clone().into_parts();
    let authority = match (from_header, parts.authority.take()) {
        (None, None) => bail!("no 'Host' header present in request"),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(header), Some(uri)) => {
            ensure!(
                header == uri,
                "authority in 'Host' header does not match authority in URI"
            );
            header
        }
    };
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

/// Adds the `spin-*` headers. They are appended: what the client sends under the same names stays
/// before them.
pub(crate) fn add_headers<B>(
    request: &mut Request<B>,
    route: &Route,
    path_info: &str,
    client: SocketAddr,
) -> Result<()> {
    for value in request.headers().values() {
        str::from_utf8(value.as_bytes())?;
    }
    let host = match request.headers().get(HOST) {
        Some(host) => str::from_utf8(host.as_bytes())?,
        None => "localhost",
    };
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let scheme = uri.scheme_str().unwrap_or("http");
    let added = [
        ("spin-path-info", path_info),
        ("spin-full-url", &format!("{scheme}://{host}{path}")),
        ("spin-matched-route", &route.absolute),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", &route.raw),
        ("spin-component-route", route.raw_prefix()),
        ("spin-client-addr", &client.to_string()),
    ];
    let added: HeaderMap = added
        .into_iter()
        .filter_map(|(name, value)| {
            let value = HeaderValue::from_str(value).ok()?;
            Some((HeaderName::from_static(name), value))
        })
        .collect();
    for (name, value) in &added {
        request.headers_mut().append(name, value.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> SocketAddr {
        ([127, 0, 0, 1], 8777).into()
    }

    #[test]
    fn spin_headers_are_appended() -> Result<()> {
        let mut request = Request::get("/base/a?b=c")
            .header("host", "example.com:3000")
            .header("spin-client-addr", "forged")
            .body(())?;
        complete_uri(&mut request)?;
        add_headers(&mut request, &Route::new("/base/...")?, "/a", client())?;
        for (name, expected) in [
            ("spin-path-info", &["/a"][..]),
            ("spin-full-url", &["http://example.com:3000/base/a?b=c"]),
            ("spin-matched-route", &["/base/..."]),
            ("spin-base-path", &["/"]),
            ("spin-raw-component-route", &["/base/..."]),
            ("spin-component-route", &["/base"]),
            ("spin-client-addr", &["forged", "127.0.0.1:8777"]),
        ] {
            let values = request.headers().get_all(name);
            assert!(values.iter().eq(expected), "{name}");
        }
        Ok(())
    }

    #[test]
    fn the_authority_must_be_known() -> Result<()> {
        for (uri, host, expected) in [
            ("/a", Some("h:1"), Some("http://h:1/a")),
            ("http://h:1/a", None, Some("http://h:1/a")),
            ("http://h:1/a", Some("h:1"), Some("http://h:1/a")),
            ("http://h:1/a", Some("h:2"), None),
            ("/a", None, None),
            ("/a", Some("h:1/b"), None),
        ] {
            let mut request = Request::get(uri).body(())?;
            if let Some(host) = host {
                request
                    .headers_mut()
                    .insert(HOST, HeaderValue::from_static(host));
            }
            let completed = complete_uri(&mut request).ok();
            let completed = completed.map(|()| request.uri().to_string());
            assert_eq!(completed.as_deref(), expected, "{uri} {host:?}");
        }
        Ok(())
    }

    #[test]
    fn forbidden_headers_are_removed() -> Result<()> {
        for (host, kept) in [
            ("example.com", true),
            ("cache.spin.internal", false),
            ("cache.spin.internal:80", false),
        ] {
            let mut request = Request::get("/")
                .header(HOST, host)
                .header(CONNECTION, "close")
                .body(())?;
            strip_headers(&mut request);
            assert_eq!(request.headers().contains_key(HOST), kept, "{host}");
            assert!(!request.headers().contains_key(CONNECTION));
        }
        Ok(())
    }
}
