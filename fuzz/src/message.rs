//! Requests, from the first byte of the method to the last of the body.

use std::sync::LazyLock;

use provider_connection_cache::config::ConfigError;
use provider_connection_cache::http::action::{Action, View};
use provider_connection_cache::http::answer::Answer;
use provider_connection_cache::http::body;
use provider_connection_cache::http::problem::Problem;
use provider_connection_cache::http::request::Head;
use provider_connection_cache::http::route::BASE;
use provider_connection_cache::http::tokens::Tokens;

use crate::given;

/// The tokens that the seeds show.
const READ_TOKEN: &str = "read-token-of-the-fuzzer-0123456";
const WRITE_TOKEN: &str = "write-token-of-the-fuzzer-012345";

static TOKENS: LazyLock<Result<Tokens, ConfigError>> =
    LazyLock::new(|| Tokens::parse(READ_TOKEN, WRITE_TOKEN));

/// A request as a seed has it: the method and the target in the first line, a header in each
/// that follows, then an empty line and the body.
struct Message<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, &'a [u8])>,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (head, body) = match bytes.windows(2).position(|two| two == b"\n\n") {
            Some(end) => (&bytes[..end], &bytes[end + 2..]),
            None => (bytes, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        // Hosts hand both over as text; header values they hand over as bytes.
        let (method, target) = str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
        let header = |line: &'a [u8]| {
            let colon = line.windows(2).position(|two| two == b": ")?;
            let name = str::from_utf8(&line[..colon]).ok()?;
            Some((name, &line[colon + 2..]))
        };
        Some(Self {
            method,
            target,
            headers: lines.filter_map(header).collect(),
            body,
        })
    }

    /// The tokens that are shown as they must be: none unless there is just one header.
    fn shows(&self, token: &str) -> bool {
        let mut shown = self
            .headers
            .iter()
            .filter(|(name, _)| *name == "authorization");
        let first = shown.next().map(|(_, value)| value.trim_ascii());
        let scheme_and_token = first.and_then(|value| value.split_at_checked(7));
        shown.next().is_none()
            && scheme_and_token.is_some_and(|(scheme, shown)| {
                scheme.eq_ignore_ascii_case(b"bearer ") && shown.trim_ascii() == token.as_bytes()
            })
    }
}

impl Head for Message<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((self.target, ""))
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        let values = self.headers.iter().filter(|(given, _)| *given == name);
        let values: Vec<_> = values.map(|(_, value)| *value).collect();
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }
}

/// Request parsing: path, query, headers, body, and who may.
pub fn request(bytes: &[u8]) {
    let Some(message) = Message::new(bytes) else {
        return;
    };
    let (reads, writes) = (message.shows(READ_TOKEN), message.shows(WRITE_TOKEN));
    let action = match Action::parse(&TOKENS, &message) {
        Ok(action) => action,
        Err(problem) => {
            let status = problem.kind().status();
            let path = message.path_and_query().0;
            let local = path.strip_prefix(BASE).unwrap_or(path);
            let public = ["/health/live", "/health/ready"].contains(&local);
            assert!(reads || writes || public || status == 401, "{status}");
            assert_ne!(status, 404, "no request that is refused is a miss");
            return says_little(problem);
        }
    };
    let (needs_write, id) = match &action {
        Action::Live | Action::Ready => return,
        Action::Options { allow } => {
            assert!(allow.ends_with(", OPTIONS") && message.method == "OPTIONS");
            let local = message.path_and_query().0.rsplit_once("/health/");
            assert!(reads || writes || local.is_some());
            return;
        }
        Action::Openapi | Action::Metrics { .. } | Action::Stats { .. } | Action::Lookup => {
            (false, None)
        }
        Action::Get { id, view, .. } => (*view == View::Full, Some(id)),
        Action::Put { id, .. } | Action::Delete { id, .. } => (true, Some(id)),
    };
    assert!(writes || reads && !needs_write, "let in without the token");
    if let Some(id) = id {
        let segment = message.path_and_query().0.rsplit('/').next();
        let text = decoded(segment.unwrap_or_default());
        assert_eq!(given::uuid(&text), Some(id.to_string()));
    }
    if matches!(action, Action::Put { .. } | Action::Lookup) {
        let codings = message.header("content-encoding").unwrap_or_default();
        let codings = String::from_utf8_lossy(&codings).to_lowercase();
        let no_coding = |coding: &str| ["", "identity"].contains(&coding.trim());
        assert!(codings.split(',').all(no_coding), "{codings}");
    }
    if let Action::Put { .. } | Action::Delete { .. } = action {
        for name in ["if-match", "if-none-match"] {
            let value = message.header(name).unwrap_or_default();
            assert!(given::entity_tags(&value), "{}", value.escape_ascii());
        }
    }
    let refused = match action {
        Action::Put { id, .. } => body::connection(id, message.body).err(),
        Action::Lookup => body::ids(message.body).err(),
        _ => None,
    };
    if let Some(problem) = refused {
        assert!([400, 409].contains(&problem.kind().status()));
        says_little(problem);
    }
}

/// No answer to a request that was refused is long, or shows a token.
fn says_little(problem: Problem) {
    let answer = Answer::from(problem);
    let body = answer.body.unwrap_or_default();
    assert!(body.len() < 1_000);
    let values = answer.headers.iter().map(|(_, value)| value.as_bytes());
    for said in values.chain([body.as_slice()]) {
        assert!(said.iter().all(|byte| (b' '..=b'~').contains(byte)));
        for token in [READ_TOKEN, WRITE_TOKEN] {
            assert!(
                said.windows(token.len())
                    .all(|part| part != token.as_bytes())
            );
        }
    }
}

/// Percent-decoding by the letter of RFC 3986, section 2.1.
fn decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = |offset: usize| char::from(*bytes.get(at + offset)?).to_digit(16);
        match (bytes[at], hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
