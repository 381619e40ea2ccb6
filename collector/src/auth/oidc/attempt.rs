//! One attempt to sign in through a provider. The browser alone keeps it, in a cookie; what is sent to the provider is derived from that
//! with a key of this process, so that nothing is kept here, and whoever sees the one cannot make the other. Pure.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use peerlight_proto::time::Timestamp;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use subtle::ConstantTimeEq as _;

/// How long somebody may take at the provider.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);
/// The longest path to come back to, in bytes: it has to fit into a cookie of 4 KiB. A longer one leads to the front page.
const LONGEST_NEXT: usize = 2_000;

/// An attempt: what the cookie holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    cookie: String,
    begun: u64,
    next: String,
}

impl Attempt {
    /// A new one that leads to `next`, a path of this listener.
    pub(super) fn begin(next: &str, now: Timestamp) -> Self {
        let next = if next.len() > LONGEST_NEXT { "/" } else { next };
        let begun = u64::try_from(now.as_secs()).unwrap_or(0);
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let cookie = format!("{secret}.{begun}.{}", URL_SAFE_NO_PAD.encode(next));
        Self { cookie, begun, next: next.to_owned() }
    }

    /// The one that a cookie holds, whoever made it: `is_answered_by` says whether this process did.
    pub(super) fn read(cookie: &str) -> Option<Self> {
        let mut parts = cookie.splitn(3, '.').skip(1);
        let (begun, next) = (parts.next()?.parse().ok()?, parts.next()?);
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
        Some(Self { cookie: cookie.to_owned(), begun, next })
    }

    /// What the cookie holds.
    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Where it leads.
    pub(super) fn next(&self) -> &str {
        &self.next
    }

    /// What the provider gives back with its answer.
    pub(super) fn state(&self, key: &hmac::Key) -> String {
        self.derived(key, "state")
    }

    /// What the provider puts into the ID token.
    pub(super) fn nonce(&self, key: &hmac::Key) -> String {
        self.derived(key, "nonce")
    }

    /// What proves that whoever redeems the provider's code also asked for it (RFC 7636).
    pub(super) fn verifier(&self, key: &hmac::Key) -> String {
        self.derived(key, "verifier")
    }

    /// What the provider holds the verifier against: S256.
    pub(super) fn challenge(&self, key: &hmac::Key) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier(key).as_bytes()))
    }

    /// Whether an answer with this state is to this attempt, which this process began not long ago.
    pub(super) fn is_answered_by(&self, state: &str, key: &hmac::Key, now: Timestamp) -> bool {
        let is_ours = bool::from(self.state(key).as_bytes().ct_eq(state.as_bytes()));
        let now = u64::try_from(now.as_secs()).unwrap_or(0);
        is_ours && now.saturating_sub(self.begun) <= PATIENCE.as_secs()
    }

    fn derived(&self, key: &hmac::Key, what: &str) -> String {
        let tag = hmac::sign(key, format!("{what}\n{}", self.cookie).as_bytes());
        URL_SAFE_NO_PAD.encode(tag.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    #[test]
    fn a_cookie_is_read_as_it_was_written() {
        let attempt = Attempt::begin("/latency?last=1h&provider=A+%26+B", NOW);
        let read = Attempt::read(attempt.cookie()).unwrap();
        assert_eq!((read.next(), &read), ("/latency?last=1h&provider=A+%26+B", &attempt));
        assert!(read.is_answered_by(&attempt.state(&key(1)), &key(1), NOW));
        // Of what cookies may hold, RFC 6265, 4.1.1.
        assert!(attempt.cookie().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
    }

    #[test]
    fn only_an_answer_to_this_attempt_that_this_process_began_lately_is_taken() {
        let attempt = Attempt::begin("/", NOW);
        let state = attempt.state(&key(1));
        assert!(attempt.is_answered_by(&state, &key(1), NOW.plus(PATIENCE)));
        assert!(!attempt.is_answered_by(&state, &key(1), NOW.plus(PATIENCE + Duration::from_secs(1))));
        assert!(!attempt.is_answered_by(&state, &key(2), NOW), "of another process");
        assert!(!Attempt::begin("/", NOW).is_answered_by(&state, &key(1), NOW), "of another browser");
        assert!(!attempt.is_answered_by("", &key(1), NOW));
        // A later beginning, or another way back, is another attempt.
        for (from, to) in [(".1790000000.", ".1790000100."), (".Lw", ".Ly9ldmls")] {
            let changed = attempt.cookie().replace(from, to);
            assert_ne!(changed, attempt.cookie());
            assert!(!Attempt::read(&changed).unwrap().is_answered_by(&state, &key(1), NOW), "{changed}");
        }
    }

    #[test]
    fn what_is_told_to_the_provider_tells_nothing_of_the_verifier() {
        let attempt = Attempt::begin("/", NOW);
        let key = key(1);
        let parts =
            [attempt.state(&key), attempt.nonce(&key), attempt.verifier(&key), attempt.challenge(&key)];
        let different: std::collections::BTreeSet<_> = parts.iter().collect();
        assert_eq!(different.len(), 4);
        // RFC 7636, 4.1.
        assert!((43..=128).contains(&attempt.verifier(&key).len()));
    }

    #[test]
    fn a_cookie_that_makes_no_sense_is_none() {
        for cookie in ["", "a", "a.b", "a.b.c", "a.1.%", "a.-1.Lw", "a.1._w"] {
            assert_eq!(Attempt::read(cookie), None, "{cookie}");
        }
        let long = Attempt::begin(&format!("/{}", "x".repeat(5_000)), NOW);
        assert_eq!((long.next(), long.cookie().len() < 200), ("/", true));
    }
}
