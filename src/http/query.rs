//! Query parameters. Unknown parameters are refused and not ignored: a misspelt `user_id` must not
//! reveal what it was meant to hide.

use std::borrow::Cow;

use super::problem::{Kind, Problem};

/// The query parameters of a request. Its route knows each of them, and none repeats.
pub struct Query<'a>(Vec<(&'static str, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads the query of a request. `known` are the parameters of its route.
    pub fn parse(query: &'a str, known: &[&'static str]) -> Result<Self, Problem> {
        let mut parameters: Vec<(&'static str, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(name) = known.iter().find(|known| **known == name) else {
                return Err(Problem::new(
                    Kind::InvalidRequest,
                    match known {
                        [] => Cow::Borrowed("no query parameter is known here"),
                        known => {
                            format!("the query parameters known here: {}", known.join(", ")).into()
                        }
                    },
                ));
            };
            if parameters.iter().any(|(given, _)| given == name) {
                let detail = format!("the query parameter {name} is given twice");
                return Err(Problem::new(Kind::InvalidRequest, detail));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// Returns the value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| *given == name);
        found.map(|(_, value)| value.as_ref())
    }
}

/// Reads a whole number as JSON writes it (RFC 8259, section 6): without a plus, and without zeros in
/// front.
pub fn number(text: &str) -> Option<u32> {
    let is_written_so = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| is_written_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_decoded() {
        let query = Query::parse("view=full&user_id=%7Ba+b%7D", &["view", "user_id"]);
        let query = query.expect("both are known");
        assert_eq!(query.get("view"), Some("full"));
        assert_eq!(query.get("user_id"), Some("{a b}"));
        assert_eq!(query.get("ttl"), None);
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("4294967295"), Some(u32::MAX));
        for other in [
            "",
            "+5",
            "05",
            "00",
            "-0",
            "-5",
            " 5",
            "5 ",
            "5.0",
            "5e0",
            "0x5",
            "5_0",
            "\u{665}",
            "4294967296",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        for query in [
            "x=1",
            "View=full",
            "view=full&x",
            "view=full&view=full",
            "view&view=full",
        ] {
            assert!(Query::parse(query, &["view"]).is_err(), "{query}");
        }
        assert!(Query::parse("", &[]).is_ok());
        assert!(Query::parse("view=full", &[]).is_err());
    }
}
