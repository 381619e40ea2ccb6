//! Readdressing: what waits gets another agent's name, whatever instant a crash picks. Only for what was never sent.

use super::{Draft, Spool, SpoolError, given_up::Going, key::file_name};
use peerlight_proto::{
    codec::decode_batch,
    id::{AgentId, SessionId},
};

impl Spool {
    /// Writes every batch that waits anew as `agent`'s, numbered within `session`, and forgets the old ones; says how many.
    /// After a crash those that were written count for the one identity and the others for the other.
    pub fn readdress(&mut self, agent: AgentId, session: SessionId) -> Result<u64, SpoolError> {
        let (before, keys) = (self.agent, self.keys().collect::<Vec<_>>());
        self.begin_session(session);
        let mut readdressed = 0;
        for key in keys {
            let Some(waiting) = self.read(key)? else { continue };
            // The bytes are ours and were checked against their digest.
            let Ok(decoded) = decode_batch(&waiting.bytes) else { continue };
            let (created, offset_us) = (decoded.batch.created, decoded.batch.clock_offset_us);
            self.agent = agent;
            let written = self.append(Draft::of(decoded.batch), created, offset_us);
            self.agent = before;
            written?;
            self.directory.let_go(&[Going { name: file_name(key), apart: None }])?;
            self.forget(key);
            readdressed += 1;
        }
        self.agent = agent;
        Ok(readdressed)
    }
}
