//! What a token is good for: checked before it is made. Pure.

use super::{NewToken, RegistryError};
use crate::registry::{prefixes, tags};
use ipnet::IpNet;
use peerlight_proto::duration;
use std::time::Duration;

/// How long a token holds unless told otherwise.
const DEFAULT_LIFE: Duration = Duration::from_hours(7 * 24);
/// How long a token may hold.
const MAX_LIFE: Duration = Duration::from_hours(90 * 24);
/// How many agents one token may enrol.
const MAX_USES: u32 = 1_000;
/// The most prefixes from which one may be used.
const MAX_SOURCES: usize = 64;

/// What a token is good for.
pub(super) struct Terms {
    pub(super) max_uses: u32,
    pub(super) life: Duration,
    pub(super) sources: Vec<IpNet>,
    pub(super) tags: Vec<String>,
}

impl Terms {
    pub(super) fn check(new: &NewToken) -> Result<Self, RegistryError> {
        let mut errors = Vec::new();
        let max_uses = new.uses.unwrap_or(1);
        if !(1..=MAX_USES).contains(&max_uses) {
            errors.push(format!("{max_uses} uses: a token has from 1 to {MAX_USES}"));
        }
        let life = check_life(new.life_s).unwrap_or_else(|fault| {
            errors.push(fault);
            DEFAULT_LIFE
        });
        if new.sources.len() > MAX_SOURCES {
            errors.push(format!("{} prefixes: a token has at most {MAX_SOURCES}", new.sources.len()));
        }
        let mut sources = Vec::new();
        for text in new.sources.iter().take(MAX_SOURCES) {
            prefixes::parse(text)
                .map_or_else(|error| errors.push(error.to_string()), |prefix| sources.push(prefix));
        }
        let tags = tags::check_all(&new.tags, &mut errors);
        if errors.is_empty() {
            Ok(Self { max_uses, life, sources, tags })
        } else {
            Err(RegistryError::Invalid { what: "enrolment token", errors })
        }
    }
}

/// How long a token holds.
pub(super) fn check_life(life_s: Option<u64>) -> Result<Duration, String> {
    let life = life_s.map_or(DEFAULT_LIFE, Duration::from_secs);
    if life.is_zero() || life > MAX_LIFE {
        let (life, most) = (duration::text(life), duration::text(MAX_LIFE));
        Err(format!("a life of {life}: a token holds for at most {most}"))
    } else {
        Ok(life)
    }
}
