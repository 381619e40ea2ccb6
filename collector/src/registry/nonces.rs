//! Nonces: what must not be said twice, remembered for as long as it would be believed.

use super::{Registry, RegistryError, callers::Concerns};
use peerlight_proto::time::Timestamp;
use rusqlite::params;

impl Registry {
    /// Burns a nonce durably until `expires`. False: it was burnt before.
    pub fn burn_nonce(
        &self,
        scope: &str,
        nonce: &str,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, RegistryError> {
        self.change_of(Concerns::Nobody, "burn a nonce", |transaction| {
            transaction
                .prepare_cached("DELETE FROM nonce WHERE expires < ?1")?
                .execute(params![now.as_micros()])?;
            let burnt = transaction
                .prepare_cached("INSERT OR IGNORE INTO nonce (scope, nonce, expires) VALUES (?1, ?2, ?3)")?
                .execute(params![scope, nonce, expires.as_micros()])?;
            Ok(burnt == 1)
        })
    }
}
