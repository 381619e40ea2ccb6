//! Adoption: a machine that was set up anew becomes the agent that it was, with all that waits on its disk.
//!
//! What was measured meanwhile was never sent, so that it can still change its name. The identity is written last: whoever dies
//! before that is who it was and has lost nothing.

use crate::{
    credential::{self, CredentialError, keyring::Keyring},
    durable,
    paths::StateDir,
    spool::{Spool, SpoolError, SpoolSettings},
};
use peerlight_proto::id::{AgentId, SessionId};

/// Why the machine is not the agent that it was.
#[derive(Debug, thiserror::Error)]
pub enum AdoptionError {
    /// What waits on the disk cannot be given to the other identity.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The state directory refused.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

/// Makes the agent of `state`, which is not running and was never enrolled, the one called `agent`; answers with its keys.
pub fn adopt(state: &StateDir, agent: AgentId, settings: SpoolSettings) -> Result<Keyring, AdoptionError> {
    let before = credential::load_or_create(state)?;
    if before.agent() != agent {
        let mut spool = Spool::open(&state.spool(), before.agent(), settings)?;
        let batches = spool.readdress(agent, SessionId::new(rand::random()))?;
        let path = state.agent_id();
        durable::replace(&path, agent.to_string().as_bytes()).map_err(|source| CredentialError::Disk {
            operation: "write",
            path,
            source,
        })?;
        tracing::info!(%agent, was = %before.agent(), batches, "this machine is the agent again that it was");
    }
    Ok(credential::load_or_create(state)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::tests::draft;
    use peerlight_proto::{codec::decode_batch, time::Timestamp};

    #[test]
    fn what_waits_is_adopted_with_its_agent_and_the_key_stays() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path().join("state"));
        let (first, settings) = (credential::load_or_create(&state).unwrap(), SpoolSettings::default());
        let created = Timestamp::from_secs(1_790_000_000);
        let mut before = Spool::open(&state.spool(), first.agent(), settings).unwrap();
        before.begin_session(SessionId::new([1; 16]));
        for minute in 0..3 {
            before.append(draft(60 * minute, 1), created, Some(5)).unwrap();
        }
        drop(before);
        let old = AgentId::new([7; 16]);
        let keys = adopt(&state, old, settings).unwrap();
        assert_eq!((keys.agent(), keys.public_key()), (old, first.public_key()));
        let mut spool = Spool::open(&state.spool(), old, settings).unwrap();
        assert_eq!((spool.counts().batches, spool.counts().corrupt), (3, 0));
        for key in spool.keys().collect::<Vec<_>>() {
            let batch = decode_batch(&spool.read(key).unwrap().unwrap().bytes).unwrap().batch;
            assert_eq!((batch.number.agent, batch.created, batch.clock_offset_us), (old, created, Some(5)));
        }
        drop(spool);
        assert_eq!(adopt(&state, old, settings).unwrap().agent(), old, "doing it again changes nothing");
    }
}
