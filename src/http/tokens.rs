//! The bearer tokens of HTTP callers. A role may have several, so that one can be replaced while callers
//! still use another.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::config::{self, ConfigError};

/// The variable with the tokens that grant reading.
const READ_TOKEN: &str = "read_token";
/// The variable with the tokens that grant everything.
const WRITE_TOKEN: &str = "write_token";

/// The least length of a token: 128 bits in hexadecimal digits.
const MIN_LENGTH: usize = 32;
const MAX_LENGTH: usize = 256;

/// What a token grants. Each grant includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grant {
    /// Public routes alone.
    Nothing,
    /// Summaries and counts.
    Read,
    /// Everything.
    Write,
}

/// The tokens of both roles. Without any token, nobody is granted anything.
#[derive(Debug)]
pub struct Tokens {
    read: TokenSet,
    write: TokenSet,
}

impl Tokens {
    /// Reads the variables of the host.
    pub(super) async fn read() -> Result<Self, ConfigError> {
        let read = config::read_variable(READ_TOKEN).await;
        Self::parse(&read, &config::read_variable(WRITE_TOKEN).await)
    }

    /// Parses the values of both variables.
    ///
    /// One unusable token makes all tokens useless. An operator who rotates tokens notices the mistake
    /// at once, and with the first instance that has it.
    pub fn parse(read: &str, write: &str) -> Result<Self, ConfigError> {
        let parse = |variable, text| {
            let rule = TokenSet::RULE;
            TokenSet::parse(text).ok_or(ConfigError { variable, rule })
        };
        let (read, write) = (parse(READ_TOKEN, read)?, parse(WRITE_TOKEN, write)?);
        let shared = |one: &Token| read.0.iter().any(|other| one.is(other).into());
        if write.0.iter().any(shared) {
            return Err(ConfigError {
                variable: WRITE_TOKEN,
                rule: "other tokens than those of read_token",
            });
        }
        Ok(Self { read, write })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read.is_empty() && self.write.is_empty()
    }

    /// Returns what a token grants. It is compared with all tokens, whatever the first comparison says:
    /// the time taken tells neither which one matched nor how close it came.
    pub(super) fn grant(&self, shown: &[u8]) -> Grant {
        let shown = Token::padded(shown);
        match (self.write.has(&shown), self.read.has(&shown)) {
            (true, _) => Grant::Write,
            (false, true) => Grant::Read,
            (false, false) => Grant::Nothing,
        }
    }
}

/// Tokens that grant the same.
#[derive(Debug)]
pub struct TokenSet(Vec<Token>);

impl TokenSet {
    /// The rule for the text, after "must be".
    pub const RULE: &str = "tokens of 32 to 256 visible ASCII characters, separated by commas";

    /// Reads the tokens. Returns none if one of them is unusable.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split(',').map(str::trim_ascii);
        // Nothing between two commas is likely a template whose variable is not set.
        let given = parts.filter(|part| !part.is_empty());
        given.map(Token::parse).collect::<Option<_>>().map(Self)
    }

    /// Returns true if there is no token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if the token is one of them. It is compared with all of them, whatever the first
    /// comparison says.
    pub fn contains(&self, shown: &[u8]) -> bool {
        self.has(&Token::padded(shown))
    }

    fn has(&self, shown: &Token) -> bool {
        let same = self.0.iter().map(|token| token.is(shown));
        same.fold(Choice::from(0), |any, same| any | same).into()
    }
}

/// A token, padded to the same length as all others: comparing any two of them takes the same time, and in
/// words an eighth of what it takes in bytes. `{:?}` does not show it.
struct Token {
    padded: [u64; MAX_LENGTH / WORD],
    length: u64,
}

/// The size of a word, in bytes.
const WORD: usize = size_of::<u64>();

impl Token {
    fn parse(text: &str) -> Option<Self> {
        let is_token = (MIN_LENGTH..=MAX_LENGTH).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self::padded(text.as_bytes()))
    }

    /// Cuts a text that is too long. It equals no token, because its length differs.
    fn padded(text: &[u8]) -> Self {
        let mut padded = [0; MAX_LENGTH / WORD];
        for (to, from) in padded.iter_mut().zip(text.chunks(WORD)) {
            let mut word = [0; WORD];
            word[..from.len()].copy_from_slice(from);
            *to = u64::from_ne_bytes(word);
        }
        Self {
            padded,
            length: text.len() as u64,
        }
    }

    fn is(&self, other: &Self) -> Choice {
        self.padded.ct_eq(&other.padded) & self.length.ct_eq(&other.length)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(letter: &str) -> String {
        letter.repeat(MIN_LENGTH)
    }

    #[test]
    fn each_of_several_tokens_grants_its_role_and_nothing_else_does() {
        let (a, b, c, d) = (token("a"), token("b"), token("c"), token("d"));
        let tokens = Tokens::parse(&format!("{a},{b}"), &format!(" {c} ,,{d}\n")).expect("valid");
        for (shown, grant) in [
            (a.as_str(), Grant::Read),
            (&b, Grant::Read),
            (&c, Grant::Write),
            (&d, Grant::Write),
            ("", Grant::Nothing),
            (&a[1..], Grant::Nothing),
            (&format!("{a}a"), Grant::Nothing),
            (&format!("{a}\0"), Grant::Nothing),
            (&format!("{a},{b}"), Grant::Nothing),
            (&a.to_uppercase(), Grant::Nothing),
        ] {
            assert_eq!(tokens.grant(shown.as_bytes()), grant, "{shown:?}");
        }
    }

    #[test]
    fn the_longest_token_matches_itself_and_no_longer_one() {
        let longest = "x".repeat(MAX_LENGTH);
        let tokens = Tokens::parse(&longest, "").expect("valid");
        assert_eq!(tokens.grant(longest.as_bytes()), Grant::Read);
        let longer = format!("{longest}x");
        assert_eq!(tokens.grant(longer.as_bytes()), Grant::Nothing);
        assert_eq!(tokens.grant(&[b'x'; 100_000]), Grant::Nothing);
    }

    #[test]
    fn without_tokens_nothing_is_granted() {
        for unset in ["", ",", " , "] {
            let tokens = Tokens::parse(unset, unset).expect("valid");
            assert!(tokens.is_empty());
            for shown in ["", ",", " "] {
                assert_eq!(tokens.grant(shown.as_bytes()), Grant::Nothing);
            }
        }
    }

    #[test]
    fn a_token_that_cannot_be_used_names_its_variable_and_not_itself() {
        let good = token("g");
        for bad in [
            "s".repeat(MIN_LENGTH - 1),
            "s".repeat(MAX_LENGTH + 1),
            format!("{}\u{e9}", token("s")),
            format!("{} s", token("s")),
            format!("{}\0", token("s")),
        ] {
            for (read, write, variable) in [
                (format!("{good},{bad}"), String::new(), READ_TOKEN),
                (good.clone(), bad.clone(), WRITE_TOKEN),
            ] {
                let error = Tokens::parse(&read, &write).expect_err("it cannot be used");
                assert_eq!(error.variable, variable);
                assert!(!error.to_string().contains("sss"), "{error}");
            }
        }
    }

    #[test]
    fn no_token_is_shown() {
        let tokens = Tokens::parse(&token("s"), &token("ss")).expect("valid");
        assert!(!format!("{tokens:?}").contains("ss"));
        assert!(!format!("{tokens:?}").contains("115, 115"));
    }

    #[test]
    fn a_token_of_both_roles_is_refused() {
        let (a, b, c) = (token("a"), token("b"), token("c"));
        let error = Tokens::parse(&format!("{a},{b}"), &format!("{c},{b}"));
        let error = error.expect_err("whoever may read could write");
        assert_eq!(error.variable, WRITE_TOKEN);
    }
}
