//! The caller on whose behalf a task works: its `traceparent` (W3C Trace Context, section 3.2) goes
//! into the log, and to the origin.
//!
//! The caller stands beside the task that is polled, and is not passed down in every argument.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use super::current::with_current;

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn Caller>>> = const { RefCell::new(None) };
}

/// The name of the header.
pub(crate) const PARENT: &str = "traceparent";

/// A caller. Its header is read only when there is something to log or to ask the origin, because
/// reading it costs a call to the host.
pub trait Caller {
    /// Returns the `traceparent` as it was sent.
    fn traceparent(&self) -> Option<Vec<u8>>;
}

/// Does the work on behalf of this caller. The caller pins the work, or this future would hold it twice.
pub fn within<T>(
    caller: Option<Rc<dyn Caller>>,
    work: impl Future<Output = T> + Unpin,
) -> impl Future<Output = T> {
    with_current(&CURRENT, caller, work)
}

/// Returns the caller of the current task, if it is known.
pub(super) fn caller() -> Option<Rc<dyn Caller>> {
    CURRENT.with_borrow(Option::clone)
}

/// Returns the `traceparent` of the current caller, if it is valid.
pub(crate) fn parent() -> Option<String> {
    let said = caller()?.traceparent()?;
    let known = parse(str::from_utf8(&said).ok()?)?;
    Some(known.to_owned())
}

/// Returns the `traceparent` of the current caller, if it is valid, in version 00: the highest that is
/// known here (section 3.2.4).
pub(crate) fn parent_to_pass_on() -> Option<String> {
    let parent = parent()?;
    let (_version, rest) = parent.split_once('-')?;
    Some(format!("00-{rest}"))
}

/// Returns the part of a `traceparent` that version 00 defines. A higher version may add more.
fn parse(text: &str) -> Option<&str> {
    let (known, rest) = text.split_at_checked(55)?;
    let mut parts = known.split('-');
    let mut hex = |length| {
        let is_hex = |part: &&str| {
            let mut digits = part.bytes();
            part.len() == length && digits.all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        parts.next().filter(is_hex)
    };
    let version = hex(2)?;
    let is_something = |part: &str| part.bytes().any(|digit| digit != b'0');
    let is_valid = is_something(hex(32)?) && is_something(hex(16)?);
    hex(2)?;
    let ends = match version {
        "00" => rest.is_empty(),
        "ff" => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    (is_valid && ends).then_some(known)
}

#[cfg(test)]
mod tests {
    use std::future::{poll_fn, ready};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    struct Says(&'static str);

    impl Caller for Says {
        fn traceparent(&self) -> Option<Vec<u8>> {
            Some(self.0.as_bytes().to_vec())
        }
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        assert_eq!(parse(VALID), Some(VALID));
        let newer = VALID.replacen("00", "01", 1);
        assert_eq!(parse(&newer), Some(newer.as_str()));
        assert_eq!(parse(&format!("{newer}-what")), Some(newer.as_str()));
        for wrong in [
            "",
            &VALID[1..],
            &format!("{VALID}-what"),
            &format!("{newer}what"),
            &VALID.to_uppercase(),
            &VALID.replacen("00", "ff", 1),
            &VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            &VALID.replacen('-', "_", 1),
            &VALID.replace("331-01", "33-101"),
            &"é".repeat(55),
            &format!("{}é", &VALID[..54]),
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_task_has_its_own_caller() {
        let mut context = Context::from_waker(Waker::noop());
        let mut yielded = false;
        let inner = pin!(async { parent() });
        let inner = within(Some(Rc::new(Says("wrong"))), inner);
        let outer = pin!(async {
            poll_fn(|_| match std::mem::replace(&mut yielded, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            assert_eq!(inner.await, None);
            ready(parent()).await
        });
        let mut outer = pin!(within(Some(Rc::new(Says(VALID))), outer));
        assert!(outer.as_mut().poll(&mut context).is_pending());
        assert_eq!(parent(), None);
        let ended = outer.as_mut().poll(&mut context);
        assert_eq!(ended, Poll::Ready(Some(VALID.to_owned())));
        assert_eq!(parent(), None);
    }
}
