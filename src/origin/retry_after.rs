//! How long the origin asks to be left alone: `Retry-After` (RFC 9110, section 10.2.3).

use std::time::Duration;

use super::http_date;

/// No answer keeps all requests away from the origin for longer: a wrong one would be an outage.
const LONGEST: Duration = Duration::from_secs(300);

/// Reads a number of seconds, or a date. The date is compared with `now`, the clock of the origin if
/// it told it, in seconds since 1970. Returns none if the time has passed, or for anything else.
pub(super) fn parse(value: &[u8], now: u64) -> Option<Duration> {
    let value = value.trim_ascii();
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let seconds = match is_number {
        // Too many digits to count.
        true => str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX),
        false => http_date::parse(value)?.saturating_sub(now),
    };
    let wait = Duration::from_secs(seconds).min(LONGEST);
    Some(wait).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_up_to_five_minutes() {
        let now = 784_111_777;
        for (text, seconds) in [
            ("30", Some(30)),
            (" 30 ", Some(30)),
            ("300", Some(300)),
            ("301", Some(300)),
            ("99999999999999999999999", Some(300)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 09:50:37 GMT", Some(300)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 07:49:37 GMT", None),
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let wait = seconds.map(Duration::from_secs);
            assert_eq!(parse(text.as_bytes(), now), wait, "{text}");
        }
    }
}
