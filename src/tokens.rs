//! The bearer tokens that HTTP callers may show: several for each role, so that one can be
//! replaced while callers still show the other.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::config::{ConfigError, Variable, Variables};

/// The fewest characters of a token: 128 bits, as hexadecimal digits.
const MIN_LENGTH: usize = 32;
/// The most characters of a token.
const MAX_LENGTH: usize = 256;

/// What a token grants. Each grant includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// What is for everybody.
    Nothing,
    /// Summaries.
    Read,
    /// Everything.
    Write,
}

/// The tokens of both roles. With none of them, nothing is granted to anybody.
#[derive(Debug)]
pub struct Tokens {
    read: TokenSet,
    write: TokenSet,
}

impl Tokens {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.write.is_empty()
    }

    /// What the token that is shown grants. All tokens are compared, whatever the first
    /// comparison says: the time taken tells neither which one it was nor how near it came.
    pub fn grant(&self, shown: &[u8]) -> Grant {
        let shown = Token::padded(shown);
        match (self.write.has(&shown), self.read.has(&shown)) {
            (true, _) => Grant::Write,
            (false, true) => Grant::Read,
            (false, false) => Grant::Nothing,
        }
    }
}

impl TryFrom<&Variables> for Tokens {
    type Error = ConfigError;

    /// One token that cannot be used makes all of them useless: who rotates tokens hears of
    /// a mistake at once, and from the first instance that has it.
    fn try_from(variables: &Variables) -> Result<Self, ConfigError> {
        let parse = |variable| {
            let tokens = TokenSet::parse(variables.get(variable));
            tokens.ok_or(ConfigError {
                variable,
                rule: TokenSet::RULE,
            })
        };
        let (read, write) = (parse(Variable::ReadToken)?, parse(Variable::WriteToken)?);
        let shared = |one: &Token| read.0.iter().any(|other| one.is(other).into());
        if write.0.iter().any(shared) {
            return Err(ConfigError {
                variable: Variable::WriteToken,
                rule: "other tokens than those of read_token",
            });
        }
        Ok(Self { read, write })
    }
}

/// Tokens of which each is as good as the others.
#[derive(Debug)]
pub struct TokenSet(Vec<Token>);

impl TokenSet {
    /// What the text of a set must be.
    pub const RULE: &str = "tokens of 32 to 256 visible ASCII characters, separated by commas";

    /// Reads the tokens; none if one of them cannot be used.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split(',').map(str::trim_ascii);
        // Nothing between two commas is a variable that is not set.
        let given = parts.filter(|part| !part.is_empty());
        given.map(Token::parse).collect::<Option<_>>().map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the token that is shown is one of them. All of them are compared, whatever the
    /// first comparison says.
    pub fn contains(&self, shown: &[u8]) -> bool {
        self.has(&Token::padded(shown))
    }

    fn has(&self, shown: &Token) -> bool {
        let same = self.0.iter().map(|token| token.is(shown));
        same.fold(Choice::from(0), |any, same| any | same).into()
    }
}

/// A token, filled up to the same length as every other one: comparing two of them takes
/// the same time, whatever they are. `{:?}` does not show it.
struct Token {
    padded: [u8; MAX_LENGTH],
    length: u64,
}

impl Token {
    fn parse(text: &str) -> Option<Self> {
        let is_token = (MIN_LENGTH..=MAX_LENGTH).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self::padded(text.as_bytes()))
    }

    /// One that is too long is cut, and equals none for its length.
    fn padded(text: &[u8]) -> Self {
        let mut padded = [0; MAX_LENGTH];
        for (to, from) in padded.iter_mut().zip(text) {
            *to = *from;
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

    fn tokens(read: &str, write: &str) -> Result<Tokens, ConfigError> {
        let mut variables = Variables::default();
        variables.set(Variable::ReadToken, read);
        variables.set(Variable::WriteToken, write);
        Tokens::try_from(&variables)
    }

    fn token(letter: &str) -> String {
        letter.repeat(MIN_LENGTH)
    }

    #[test]
    fn each_of_several_tokens_grants_its_role_and_nothing_else_does() {
        let (a, b, c, d) = (token("a"), token("b"), token("c"), token("d"));
        let tokens = tokens(&format!("{a},{b}"), &format!(" {c} ,,{d}\n")).expect("valid");
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
        let tokens = tokens(&longest, "").expect("valid");
        assert_eq!(tokens.grant(longest.as_bytes()), Grant::Read);
        let longer = format!("{longest}x");
        assert_eq!(tokens.grant(longer.as_bytes()), Grant::Nothing);
        assert_eq!(tokens.grant(&[b'x'; 100_000]), Grant::Nothing);
    }

    #[test]
    fn without_tokens_nothing_is_granted() {
        for unset in ["", ",", " , "] {
            let tokens = tokens(unset, unset).expect("valid");
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
                (format!("{good},{bad}"), String::new(), Variable::ReadToken),
                (good.clone(), bad.clone(), Variable::WriteToken),
            ] {
                let error = tokens(&read, &write).expect_err("it cannot be used");
                assert_eq!(error.variable, variable);
                assert!(!error.to_string().contains("sss"), "{error}");
            }
        }
    }

    #[test]
    fn no_token_is_shown() {
        let tokens = tokens(&token("s"), &token("ss")).expect("valid");
        assert!(!format!("{tokens:?}").contains("ss"));
        assert!(!format!("{tokens:?}").contains("115, 115"));
    }

    #[test]
    fn a_token_of_both_roles_is_refused() {
        let (a, b, c) = (token("a"), token("b"), token("c"));
        let error = tokens(&format!("{a},{b}"), &format!("{c},{b}"));
        let error = error.expect_err("whoever may read could write");
        assert_eq!(error.variable, Variable::WriteToken);
    }
}
