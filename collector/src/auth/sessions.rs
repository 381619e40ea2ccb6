//! Who is signed in: sessions live in memory. One that a token opened ends with the token, one of a person by the clock, and
//! every one by hand.

use crate::{
    organisation::OrganisationId,
    registry::{Operator, Person, Role},
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long a session lasts: a working day.
pub const SESSION_LENGTH: Duration = Duration::from_hours(12);
/// How many there may be; the one that would end first makes room.
const MAX_SESSIONS: usize = 1_000;

/// The open sessions.
#[derive(Default)]
pub struct Sessions(Mutex<Open>);

#[derive(Default)]
struct Open {
    /// By the hash of their cookie.
    by_cookie: HashMap<[u8; 32], Session>,
    /// The number of the latest.
    latest: u64,
}

struct Session {
    entry: SessionEntry,
    holder: Holder,
}

/// What a session stands for.
#[derive(Clone, PartialEq, Eq)]
pub enum Holder {
    /// An operator token, or the secret of a provider's link. It is looked up again at each request, so that revoking it ends the session.
    Token(String),
    /// A person whom an OpenID provider vouched for.
    Person(Operator),
}

/// The token stays out of logs.
impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token"),
            Self::Person(operator) => f.debug_tuple("Person").field(operator).finish(),
        }
    }
}

/// A session as lists show it: never its cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionEntry {
    /// Its number, since the collector was started.
    pub id: u64,
    /// Whose.
    #[serde(skip, default = "default_organisation")]
    pub organisation: OrganisationId,
    /// The operator token's name, the provider's link, or who the person is.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The person, if an OpenID provider vouched for one.
    pub person: Option<Person>,
    /// Where it was opened from.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// When it was opened.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub opened: Timestamp,
    /// When it ends by itself.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub ends: Timestamp,
}

const fn default_organisation() -> OrganisationId {
    OrganisationId::DEFAULT
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Opens one for `operator` and returns what its cookie holds.
    pub fn open(&self, holder: Holder, operator: &Operator, address: IpAddr, now: Timestamp) -> String {
        let cookie = hex::encode(rand::random::<[u8; 32]>());
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.by_cookie.retain(|_, session| now < session.entry.ends);
        if open.by_cookie.len() >= MAX_SESSIONS {
            let first = open.by_cookie.iter().min_by_key(|(_, session)| session.entry.ends);
            if let Some(first) = first.map(|(key, _)| *key) {
                open.by_cookie.remove(&first);
            }
        }
        open.latest += 1;
        let entry = SessionEntry {
            id: open.latest,
            organisation: operator.organisation,
            name: operator.name.clone(),
            role: operator.role,
            person: operator.person.clone(),
            address,
            opened: now,
            ends: now.plus(SESSION_LENGTH),
        };
        open.by_cookie.insert(hash(&cookie), Session { entry, holder });
        cookie
    }

    /// What the session of this cookie stands for.
    pub fn holder(&self, cookie: &str, now: Timestamp) -> Option<Holder> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.by_cookie.get(&hash(cookie)).filter(|session| now < session.entry.ends);
        session.map(|session| session.holder.clone())
    }

    /// Ends the session of this cookie.
    pub fn close(&self, cookie: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_cookie.remove(&hash(cookie));
    }

    /// Those of an organisation that the clock has not ended, and what each stands for, the latest first.
    pub fn list(&self, organisation: OrganisationId, now: Timestamp) -> Vec<(SessionEntry, Holder)> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = open
            .by_cookie
            .values()
            .filter(|session| session.entry.organisation == organisation && now < session.entry.ends);
        let mut listed: Vec<_> =
            listed.map(|session| (session.entry.clone(), session.holder.clone())).collect();
        listed.sort_unstable_by_key(|(entry, _)| std::cmp::Reverse(entry.id));
        listed
    }

    /// Ends the session of this number.
    pub fn end(&self, id: u64) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.by_cookie.retain(|_, session| session.entry.id != id);
    }
}

fn hash(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn open(sessions: &Sessions, token: &str, now: Timestamp) -> String {
        sessions.open(Holder::Token(token.to_owned()), &Operator::local(), HERE, now)
    }

    #[test]
    fn a_session_ends_by_itself_or_by_hand() {
        let sessions = Sessions::default();
        let now = Timestamp::from_secs(0);
        let cookie = open(&sessions, "token", now);
        assert_eq!(sessions.holder(&cookie, now), Some(Holder::Token("token".to_owned())));
        assert_eq!(sessions.holder(&cookie, now.plus(SESSION_LENGTH)), None);
        sessions.close(&cookie);
        assert_eq!(sessions.holder(&cookie, now), None);
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::default();
        let first = open(&sessions, "first", Timestamp::from_secs(0));
        for micros in (1..).take(MAX_SESSIONS) {
            open(&sessions, "more", Timestamp::from_micros(micros));
        }
        assert_eq!(sessions.holder(&first, Timestamp::from_secs(1)), None);
    }

    #[test]
    fn a_list_shows_what_is_open_and_one_of_it_can_be_ended() {
        let sessions = Sessions::default();
        let now = Timestamp::from_secs(0);
        let (kept, ended) = (open(&sessions, "kept", now), open(&sessions, "ended", now));
        let listed = |now| {
            let listed = sessions.list(OrganisationId::DEFAULT, now).into_iter();
            listed.map(|(entry, _)| entry.id).collect::<Vec<_>>()
        };
        assert_eq!(listed(now), [2, 1]);
        sessions.end(2);
        assert_eq!(listed(now), [1]);
        assert_eq!(sessions.holder(&ended, now), None);
        assert!(sessions.holder(&kept, now).is_some());
        assert_eq!(listed(now.plus(SESSION_LENGTH)), [0; 0]);
        assert!(!format!("{:?}", Holder::Token("secret".to_owned())).contains("secret"));
    }
}
