//! Who is signed in: sessions live in memory, and end with the operator token that opened them.

use peerlight_proto::time::Timestamp;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long a session lasts: a working day.
pub const SESSION_LENGTH: Duration = Duration::from_hours(12);
/// How many there may be; the one that would end first makes room.
const MAX_SESSIONS: usize = 1_000;

/// The open sessions, by the hash of their cookie.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

struct Session {
    /// Looked up again at each request, so that revoking it ends the session.
    operator_token: String,
    ends: Timestamp,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Opens one and returns what its cookie holds.
    pub fn open(&self, operator_token: String, now: Timestamp) -> String {
        let cookie = hex::encode(rand::random::<[u8; 32]>());
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| now < session.ends);
        if sessions.len() >= MAX_SESSIONS
            && let Some(first) = sessions.iter().min_by_key(|(_, session)| session.ends).map(|(key, _)| *key)
        {
            sessions.remove(&first);
        }
        sessions.insert(hash(&cookie), Session { operator_token, ends: now.plus(SESSION_LENGTH) });
        cookie
    }

    /// The operator token that opened the session of this cookie.
    pub fn operator_token(&self, cookie: &str, now: Timestamp) -> Option<String> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions
            .get(&hash(cookie))
            .filter(|session| now < session.ends)
            .map(|session| session.operator_token.clone())
    }

    /// Ends the session of this cookie.
    pub fn close(&self, cookie: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(cookie));
    }
}

fn hash(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_itself_or_by_hand() {
        let sessions = Sessions::default();
        let now = Timestamp::from_secs(0);
        let cookie = sessions.open("token".into(), now);
        assert_eq!(sessions.operator_token(&cookie, now).as_deref(), Some("token"));
        assert_eq!(sessions.operator_token(&cookie, now.plus(SESSION_LENGTH)), None);
        sessions.close(&cookie);
        assert_eq!(sessions.operator_token(&cookie, now), None);
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::default();
        let first = sessions.open("first".into(), Timestamp::from_secs(0));
        for micros in (1..).take(MAX_SESSIONS) {
            sessions.open("more".into(), Timestamp::from_micros(micros));
        }
        assert_eq!(sessions.operator_token(&first, Timestamp::from_secs(1)), None);
    }
}
