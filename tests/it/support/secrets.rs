//! The secrets of the tests, each of which carries a mark, and the search for that mark in
//! all that the component, its host and the tests say.

use std::fmt::Debug;

/// What every secret has in it. `scripts/no-secrets.sh` looks for it too.
pub const MARK: &str = "TOP-SECRET";

/// The tokens of a service that does not ask for others.
pub const READ_TOKEN: &str = "TOP-SECRET-read-token-of-the-tests";
pub const WRITE_TOKEN: &str = "TOP-SECRET-write-token-of-the-tests";

/// The token of the explorer.
pub const EXPLORER_TOKEN: &str = "TOP-SECRET-explorer-token-of-the-tests";

/// The password of a Redis that asks for one.
pub const PASSWORD: &str = "TOP-SECRET-password-of-the-tests";

/// The token of the origin.
pub const ORIGIN_TOKEN: &str = "TOP-SECRET-origin-token-of-the-tests";

/// The ciphertext of every connection of the tests that has one of its own.
pub const CIPHERTEXT: &str = "TOP-SECRET-ciphertext";

/// Fails if a secret is in `text`, as it is or in another form.
pub fn assert_none(of: impl Debug, text: &str) {
    // Not the text itself: what fails here would end up in the output of the tests.
    assert!(!shows_any(text), "a secret is in {of:?}");
}

fn shows_any(text: &str) -> bool {
    forms(MARK).iter().any(|form| text.contains(form))
}

/// Text as it is, escaped, in hexadecimal and in base64, and as `{:?}` shows bytes.
fn forms(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let hex = |upper: bool| -> String {
        let digits = |byte: &u8| {
            if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            }
        };
        bytes.iter().map(digits).collect()
    };
    let debug = format!("{bytes:?}");
    // Whatever stands before it, one of three alignments shows its middle.
    let base64 = (0..3).map(|skipped| base64(&bytes[skipped..skipped + 6]));
    [
        text.to_owned(),
        text.replace('-', "%2D"),
        text.replace('-', "\\u002d"),
        hex(false),
        hex(true),
        debug.trim_matches(['[', ']']).to_owned(),
    ]
    .into_iter()
    .chain(base64)
    .collect()
}

/// The base64 of a multiple of three bytes.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let bits = group
            .iter()
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[bits >> shift & 63]))
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}

#[test]
fn a_secret_is_found_in_every_form() {
    for said in [
        format!("Bearer {READ_TOKEN}"),
        format!("{:?}", PASSWORD.as_bytes()),
        "544f502d534543524554".to_owned(),
        format!("x{}", base64(b"xTOP-SECRET-")),
        format!("x{}", base64(b"xxTOP-SECRET")),
        base64(b"TOP-SECRETxx"),
    ] {
        assert!(shows_any(&said), "{}", said.len());
    }
    assert!(!shows_any("nothing of interest"));
}
