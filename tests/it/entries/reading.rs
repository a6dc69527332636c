//! A stored value is read as the existing application reads it, or is corrupt. Its rules are in
//! `application.py`, in the language that decides: what `UUID()` and `datetime.fromisoformat()` take.

use std::fs;

use fastrand::Rng;
use provider_connection_cache::connection::Id;
use provider_connection_cache::connection::entry::{decode_stored, encode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::cache::{Cache, LookupResult};
use crate::support::connection::{entry, from_json, id};
use crate::support::redis::Redis;
use crate::support::{assert_nothing_trapped, in_repository, said_by_python};

/// What `application.py` says of a value.
#[derive(Deserialize)]
struct Said {
    /// What the existing application reads, as JSON of Python.
    read_as: String,
    /// Whether `docs/entries.md` has it read here.
    documented: bool,
}

impl Said {
    fn is_read(&self) -> bool {
        self.read_as != "null"
    }

    fn connection(&self) -> Value {
        serde_json::from_str(&self.read_as).expect("JSON")
    }
}

fn said(id: &str, values: &[String]) -> Vec<Said> {
    let input = json!({ "id": id, "values": values }).to_string();
    let said: Vec<_> = said_by_python("tests/it/entries/application.py", &input).unwrap();
    assert_eq!(said.len(), values.len());
    said
}

/// An array in so many others that it is nested one level too deep in an entry.
fn too_deep() -> String {
    format!("{}{}", "[".repeat(127), "]".repeat(127))
}

/// The members of an entry, each as text, so that what is no JSON can be among them.
fn members(entry: &Value) -> Vec<(String, String)> {
    let members = entry.as_object().unwrap().iter();
    members
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect()
}

fn object(members: &[(String, String)]) -> String {
    let members = members
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// The value of an example of the document: a member of an entry that is otherwise whole, or the
/// whole value.
fn example(text: &str) -> String {
    let (member, given) = match text.strip_prefix("no ") {
        Some(member) => (member, ""),
        None => (text, text),
    };
    let Some(name) = member.strip_prefix('"').and_then(|it| it.split('"').next()) else {
        return text.to_owned();
    };
    let mut others = members(&entry(&id(1)));
    others.retain(|(other, _)| other != name);
    let others = object(&others);
    let given = given.replace("[…]", &too_deep());
    match given.as_str() {
        "" => others,
        given => format!("{}, {given}}}", others.strip_suffix('}').unwrap()),
    }
}

/// The examples of the document under a heading, each with its value.
fn examples(heading: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(in_repository("docs/entries.md")).unwrap();
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with(heading));
    let cells = section
        .unwrap_or_else(|| panic!("no heading {heading:?}"))
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let examples: Vec<_> = cells
        .map(|(text, _)| (text.to_owned(), example(text)))
        .collect();
    assert!(
        examples.len() >= 10,
        "{heading}: {} examples",
        examples.len()
    );
    examples
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_document_is_read_as_it_says() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    for (heading, is_read_there, is_read_here) in [
        ("Read", true, true),
        ("Corrupt for both", false, false),
        ("Corrupt here alone", true, false),
    ] {
        let (texts, values): (Vec<_>, Vec<_>) = examples(heading).into_iter().unzip();
        for ((text, value), said) in texts.iter().zip(&values).zip(said(&id(1), &values)) {
            assert_eq!(said.is_read(), is_read_there, "{text}");
            assert_eq!(said.documented && is_read_there, is_read_here, "{text}");
            redis.set(&cache.key(&id(1)), value);
            match cache.lookup(&id(1)).await.unwrap() {
                LookupResult::Hit(entry) => {
                    assert!(is_read_here, "{text}");
                    let wanted = from_json(&said.connection());
                    assert_eq!(entry.connection, wanted, "{text}");
                }
                LookupResult::Corrupt(_) => assert!(!is_read_here, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
    assert_nothing_trapped(&cache.log());
}

/// Picks one of these.
fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    rng.choice(of).unwrap()
}

/// Damages a text in up to two places, more often in none.
fn damaged(rng: &mut Rng, text: &str, alphabet: &str) -> String {
    let alphabet: Vec<_> = alphabet.chars().collect();
    let mut text: Vec<_> = text.chars().collect();
    for _ in 0..[0, 0, 0, 1, 1, 2][rng.usize(..6)] {
        let at = rng.usize(..=text.len());
        match rng.u8(..4) {
            0 => text.insert(at, *rng.choice(&alphabet).unwrap()),
            1 if at < text.len() => text[at] = *rng.choice(&alphabet).unwrap(),
            2 if at < text.len() => drop(text.remove(at)),
            3 if at + 1 < text.len() => text.swap(at, at + 1),
            _ => {}
        }
    }
    text.into_iter().collect()
}

/// The id, in a spelling that somebody might know.
fn uuid(rng: &mut Rng, id: &str) -> String {
    let simple = id.replace('-', "");
    let mut text = if rng.bool() { id.to_owned() } else { simple };
    match rng.u8(..8) {
        0 => text = text.to_uppercase(),
        1 => text = text.replace("0", one(rng, &["0", "０", "_", "O"])),
        2 => text.insert(rng.usize(..=text.len()), '-'),
        _ => {}
    }
    let (before, after) = *rng
        .choice(&[
            ("", ""),
            ("", ""),
            ("{", "}"),
            ("{", ""),
            ("{{", "}"),
            ("urn:uuid:", ""),
            ("URN:UUID:", ""),
            ("urn:UUID:", ""),
            ("uuid:", ""),
            ("urn:", ""),
            ("uuid:urn:", ""),
            ("{urn:uuid:", "}"),
            ("urn:uuid:{", "}"),
            ("0x", ""),
        ])
        .unwrap();
    let text = format!("{before}{text}{after}");
    damaged(rng, &text, "0189afAFgx-_{}:urnidURNID +\u{ff11}\u{2010}\n")
}

/// Two digits below a limit, or seldom others.
fn two_digits(rng: &mut Rng, limit: u8) -> String {
    match rng.u8(..20) {
        0 => one(rng, &["00", "24", "29", "31", "60", "99"]).to_owned(),
        _ => format!("{:02}", rng.u8(1..limit)),
    }
}

/// No fraction, or one that somebody might write.
fn fraction(rng: &mut Rng) -> String {
    let digits: String = (0..rng.usize(..10)).map(|_| rng.digit(10)).collect();
    match rng.u8(..9) {
        0..3 => format!(".{digits}"),
        3 => format!("{}{digits}", one(rng, &[",", ":", "_"])),
        _ => String::new(),
    }
}

/// A timestamp, or what looks like one.
fn timestamp(rng: &mut Rng) -> String {
    let year = one(rng, &["2026", "2024", "1883", "0001", "9999", "0000"]);
    let (month, day) = (two_digits(rng, 13), two_digits(rng, 29));
    let date = match rng.u8(..20) {
        0 => format!("{year}{month}{day}"),
        1 => format!("{year}-W{month}-{}", rng.u8(..9)),
        2 => format!("{year}-{month}"),
        _ => format!("{year}-{month}-{day}"),
    };
    let separator = match rng.u8(..5) {
        0 => one(rng, &["t", "_", "", "x", "-", "é", "🏦", "TT"]),
        _ => one(rng, &["T", " "]),
    };
    let [hour, minute, second] = [24, 60, 60].map(|limit| two_digits(rng, limit));
    let time = match rng.u8(..20) {
        0 => hour,
        1 => format!("{hour}:{minute}"),
        2 => format!("{hour}{minute}{second}"),
        _ => format!("{hour}:{minute}:{second}"),
    };
    let sign = match rng.u8(..20) {
        0 => one(rng, &["\u{2212}", "±", ""]),
        _ => one(rng, &["+", "-"]),
    };
    let [hours, minutes, seconds] = [24, 60, 60].map(|limit| two_digits(rng, limit));
    let offset = match rng.u8(..20) {
        0 => String::new(),
        1 => {
            let others = [
                "z", "Z+00:00", "Z00:00", "+00:00Z", "UTC", " +00:00", "+0", "+",
            ];
            one(rng, &others).to_owned()
        }
        2 => format!("{sign}{hours}"),
        3 => format!("{sign}{hours}{minutes}"),
        4 => format!("{sign}{hours}{minutes}{seconds}{}", fraction(rng)),
        5..10 => format!("{sign}{hours}:{minutes}:{seconds}{}", fraction(rng)),
        10..14 => "Z".to_owned(),
        _ => format!("{sign}{hours}:{minutes}"),
    };
    let text = format!("{date}{separator}{time}{}{offset}", fraction(rng));
    damaged(rng, &text, "0123456789:+-.,TtZzW _\u{ff11}\u{2212}\n")
}

/// A JSON value, or what somebody takes for one.
fn value(rng: &mut Rng) -> String {
    let values = [
        "null",
        "true",
        "false",
        "0",
        "-0.0",
        "5",
        "1.5",
        "20260127",
        "1e400",
        "-1E+400",
        "NaN",
        "-Infinity",
        "Infinity",
        "[]",
        "[1]",
        "{}",
        "{\"a\": 1}",
        "\"\"",
        "\"0\"",
        "\"a\\u0000b\"",
        "\"\\ud83c\\udfe6\"",
        "\"\\ud83c\"",
        "\"\\udfe6x\"",
        "{\"\\ud83c\": 0}",
        "\"🏦\"",
        "'a'",
        "01",
        "12345678901234567890123456789012",
        "\"active\"",
        "\"Active\"",
        "\"oauth2\"",
        "\"pending\"",
        "[\"\\ud83c\"]",
        "\"\t\"",
        "\"\\/\"",
        "\"\\x\"",
        "\u{a0}5",
        "",
    ];
    match rng.usize(..values.len() + 5) {
        0 => too_deep(),
        1 => format!("[{}]", too_deep()),
        2 => too_deep()[1..=252].to_owned(),
        3 => format!("1{}", "0".repeat(400)),
        4 => format!(
            "\"{}\"",
            "é".repeat(*rng.choice(&[50, 51, 100, 101]).unwrap())
        ),
        other => values[other - 5].to_owned(),
    }
}

/// An entry, changed in one place, or in two.
fn changed(rng: &mut Rng, id: &str) -> String {
    let mut whole = entry(id);
    if rng.u8(..4) == 0 {
        whole["status"] = json!("pending");
    }
    let mut inner = members(&whole["credentials"].take());
    let mut outer = members(&whole);
    for _ in 0..rng.u8(1..3) {
        let members = if rng.u8(..4) == 0 {
            &mut inner
        } else {
            &mut outer
        };
        let Some(at) = rng.choice(0..members.len()) else {
            continue;
        };
        let name = members[at].0.clone();
        let quoted = |text: String| Value::from(text).to_string();
        match (rng.u8(..12), name.as_str()) {
            (0, _) => drop(members.remove(at)),
            (1, _) => members.push((name, value(rng))),
            (2, _) => members.push(("unknown".to_owned(), value(rng))),
            (3..12, "id" | "user_id" | "provider_id") => members[at].1 = quoted(uuid(rng, id)),
            (3..12, name) if name.ends_with("_at") => members[at].1 = quoted(timestamp(rng)),
            _ => members[at].1 = value(rng),
        }
    }
    if let Some((_, credentials)) = outer.iter_mut().find(|(name, _)| name == "credentials")
        && credentials == "null"
    {
        *credentials = object(&inner);
    }
    object(&outer)
}

#[test]
fn any_value_is_read_as_the_existing_application_reads_it_or_is_corrupt() {
    let key = id(1);
    let stored_under = Id::parse("id", &key).unwrap();
    let mut rng = Rng::with_seed(17);
    let with = |name: &str, text: String| {
        let mut entry = entry(&key);
        entry[name] = text.into();
        entry.to_string()
    };
    let mut values = Vec::new();
    for _ in 0..12_000 {
        let name = one(&mut rng, &["id", "user_id", "provider_id"]);
        values.push(with(name, uuid(&mut rng, &key)));
        values.push(with("created_at", timestamp(&mut rng)));
        values.push(changed(&mut rng, &key));
    }
    // How many are read by both, by none, and by the existing application alone.
    let (mut both, mut none, mut there) = ([0; 3], [0; 3], [0; 3]);
    for (index, (value, said)) in values.iter().zip(said(&key, &values)).enumerate() {
        let read = decode_stored(stored_under, value.as_bytes());
        let read = read.map(|read| serde_json::from_slice::<Value>(&encode(&read)).unwrap());
        let counted = match (read, said.is_read()) {
            (Ok(read), true) => {
                assert!(said.documented, "no document says that it is read: {value}");
                assert_eq!(read, said.connection(), "{value}");
                &mut both
            }
            (Ok(_), false) => panic!("the existing application does not read {value}"),
            (Err(_), false) => &mut none,
            (Err(reason), true) => {
                assert!(!said.documented, "{reason:?} of {value}");
                &mut there
            }
        };
        counted[index % 3] += 1;
    }
    for (kind, index) in [("UUIDs", 0), ("timestamps", 1), ("changes", 2)] {
        let counts = [both[index], none[index], there[index]];
        assert!(
            counts.iter().all(|count| *count > 1_000),
            "{kind}: {counts:?}"
        );
    }
}
