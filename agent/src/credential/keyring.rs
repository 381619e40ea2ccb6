//! The agent's keys on disk and in hand: the one that signs, the one that is to follow it, and the one before it.
//!
//! A new key is on disk before the collector hears of it, and signs only once the collector's word has come. Whoever dies
//! in between finds both at the next start. The key before is kept for a collector whose registry was restored from a backup
//! and knows nothing newer; everywhere else it is worthless.

use super::{CredentialError, disk};
use crate::{
    durable,
    paths::StateDir,
    rotation::plan::{self, KeysOnDisk, Slot},
    signature::AgentKey,
};
use peerlight_proto::id::AgentId;
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

/// A handle on the agent's keys that all who sign share: a key that is replaced is replaced for all of them.
#[derive(Debug)]
pub struct Keyring {
    agent: AgentId,
    /// None: there is one key, and it stays.
    state: Option<StateDir>,
    /// Whether what becomes of the keys is kept on disk.
    keeps: bool,
    signing: RwLock<Arc<AgentKey>>,
}

impl Keyring {
    /// One key that nothing replaces.
    pub fn of(key: Arc<AgentKey>) -> Self {
        Self { agent: key.agent(), state: None, keeps: false, signing: RwLock::new(key) }
    }

    /// The keys of `agent` in `state`, of which `signing` signs.
    pub(super) fn open(agent: AgentId, state: StateDir, signing: AgentKey) -> Self {
        Self { agent, state: Some(state), keeps: true, signing: RwLock::new(Arc::new(signing)) }
    }

    /// The same, but nothing on disk ever changes.
    pub(super) fn only_read(self) -> Self {
        Self { keeps: false, ..self }
    }

    /// Whose keys they are.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// The key that signs now.
    pub fn signing(&self) -> Arc<AgentKey> {
        Arc::clone(&self.signing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its public half.
    pub fn public_key(&self) -> [u8; 32] {
        self.signing().public_key()
    }

    /// The key that is to follow, if one was begun.
    pub fn next(&self) -> Result<Option<Arc<AgentKey>>, CredentialError> {
        self.read(Slot::Next)
    }

    /// The key that is to follow: the one that was begun, or one that is durably made now.
    pub fn begin_next(&self) -> Result<Arc<AgentKey>, CredentialError> {
        if let Some(begun) = self.next()? {
            return Ok(begun);
        }
        let Some(path) = self.kept(Slot::Next) else { return Ok(self.signing()) };
        match durable::create(&path, &generate()?) {
            Ok(()) => {}
            // Another process was faster: its key counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(disk("create", &path)(error)),
        }
        self.next()?.ok_or_else(|| disk("read", &path)(io::ErrorKind::NotFound.into()))
    }

    /// Gives up the key that was to follow; the next one is made anew.
    pub fn give_up_next(&self) -> Result<(), CredentialError> {
        let Some(path) = self.kept(Slot::Next) else { return Ok(()) };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk("remove", &path)(error)),
            _removed => Ok(()),
        }
    }

    /// Which other key to try after the collector knew none of those in `tried`, and where it lies.
    pub fn another(&self, tried: &[[u8; 32]]) -> Result<Option<(Slot, Arc<AgentKey>)>, CredentialError> {
        let read = |slot| self.read(slot);
        let [signing, next, previous] = [read(Slot::Signing)?, read(Slot::Next)?, read(Slot::Previous)?];
        let public = |key: &Option<Arc<AgentKey>>| key.as_ref().map(|key| key.public_key());
        let on_disk =
            KeysOnDisk { signing: public(&signing), next: public(&next), previous: public(&previous) };
        Ok(plan::another(&on_disk, tried).and_then(|slot| {
            let key = match slot {
                Slot::Signing => signing,
                Slot::Next => next,
                Slot::Previous => previous,
            };
            key.map(|key| (slot, key))
        }))
    }

    /// The key in `slot` signs from now on, also after a crash at any point. The one that signed so far becomes the one
    /// before.
    pub fn take_up(&self, slot: Slot) -> Result<(), CredentialError> {
        let Some(key) = self.read(slot)? else { return Ok(()) };
        self.keep(slot)?;
        *self.signing.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// Has the key in `slot` sign from the next start on.
    fn keep(&self, slot: Slot) -> Result<(), CredentialError> {
        let (Some(from), Some(signing), Some(previous)) =
            (self.kept(slot), self.kept(Slot::Signing), self.kept(Slot::Previous))
        else {
            return Ok(());
        };
        match slot {
            // Another process took it up.
            Slot::Signing => {}
            Slot::Next => {
                let signed_so_far = fs::read(&signing).map_err(disk("read", &signing))?;
                durable::replace(&previous, &signed_so_far).map_err(disk("write", &previous))?;
                durable::take_place(&from, &signing).map_err(disk("replace", &signing))?;
            }
            Slot::Previous => {
                let bytes = fs::read(&from).map_err(disk("read", &from))?;
                durable::replace(&signing, &bytes).map_err(disk("write", &signing))?;
            }
        }
        Ok(())
    }

    /// Where the key in `slot` lies, if it may be changed there.
    fn kept(&self, slot: Slot) -> Option<PathBuf> {
        self.path(slot).filter(|_path| self.keeps)
    }

    fn path(&self, slot: Slot) -> Option<PathBuf> {
        let state = self.state.as_ref()?;
        Some(match slot {
            Slot::Signing => state.agent_key(),
            Slot::Next => state.next_key(),
            Slot::Previous => state.previous_key(),
        })
    }

    fn read(&self, slot: Slot) -> Result<Option<Arc<AgentKey>>, CredentialError> {
        let Some(path) = self.path(slot) else { return Ok(None) };
        let Some(document) = super::read(&path)? else { return Ok(None) };
        parse(self.agent, path, &document).map(|key| Some(Arc::new(key)))
    }
}

/// A new key, as its file holds it.
pub(super) fn generate() -> Result<Vec<u8>, CredentialError> {
    Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map(|document| document.as_ref().to_vec())
        .map_err(|_unspecified| CredentialError::Randomness)
}

/// The key of `agent` that the file at `path` holds.
pub(super) fn parse(agent: AgentId, path: PathBuf, document: &[u8]) -> Result<AgentKey, CredentialError> {
    let damaged = |_rejected| CredentialError::Damaged { path, what: "not an ed25519 key" };
    Ed25519KeyPair::from_pkcs8(document).map(|pair| AgentKey::new(agent, pair)).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{load_or_create, look};

    fn state() -> (tempfile::TempDir, StateDir) {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path().join("state"));
        (directory, state)
    }

    /// The public key that an agent which starts now signs with.
    fn restarted(state: &StateDir) -> [u8; 32] {
        load_or_create(state).unwrap().public_key()
    }

    #[test]
    fn a_key_that_was_begun_is_the_same_after_a_crash_and_signs_once_it_is_taken_up() {
        let (_directory, state) = state();
        let keys = load_or_create(&state).unwrap();
        let first = keys.public_key();
        let next = keys.begin_next().unwrap().public_key();
        assert_eq!(
            (keys.public_key(), restarted(&state)),
            (first, first),
            "it waits for the collector's word"
        );
        assert_eq!(load_or_create(&state).unwrap().begin_next().unwrap().public_key(), next);
        keys.take_up(Slot::Next).unwrap();
        assert_eq!((keys.public_key(), restarted(&state)), (next, next));
        assert!(keys.next().unwrap().is_none());
        keys.take_up(Slot::Next).unwrap();
        assert_eq!(keys.public_key(), next, "there is nothing to take up");
    }

    #[test]
    fn a_crash_while_a_key_is_taken_up_leaves_both() {
        let (_directory, state) = state();
        let keys = load_or_create(&state).unwrap();
        let (first, next) = (keys.public_key(), keys.begin_next().unwrap().public_key());
        // As far as the first of the two steps.
        fs::copy(state.agent_key(), state.previous_key()).unwrap();
        let keys = load_or_create(&state).unwrap();
        assert_eq!((keys.public_key(), keys.next().unwrap().unwrap().public_key()), (first, next));
        keys.take_up(Slot::Next).unwrap();
        let (slot, before) = keys.another(&[next]).unwrap().unwrap();
        assert_eq!((slot, before.public_key()), (Slot::Previous, first));
    }

    #[test]
    fn a_key_that_another_process_took_up_is_found() {
        let (_directory, state) = state();
        let (running, other) = (load_or_create(&state).unwrap(), load_or_create(&state).unwrap());
        let (first, next) = (running.public_key(), other.begin_next().unwrap().public_key());
        other.take_up(Slot::Next).unwrap();
        let (slot, found) = running.another(&[first]).unwrap().unwrap();
        assert_eq!((slot, found.public_key()), (Slot::Signing, next));
        running.take_up(slot).unwrap();
        assert_eq!(running.public_key(), next);
    }

    #[test]
    fn the_key_before_comes_back_where_no_newer_one_is_known() {
        let (_directory, state) = state();
        let keys = load_or_create(&state).unwrap();
        let first = keys.public_key();
        let second = keys.begin_next().unwrap().public_key();
        keys.take_up(Slot::Next).unwrap();
        keys.take_up(Slot::Previous).unwrap();
        assert_eq!((keys.public_key(), restarted(&state)), (first, first));
        assert!(keys.another(&[first, second]).unwrap().is_none());
    }

    #[test]
    fn a_key_that_is_given_up_is_made_anew() {
        let (_directory, state) = state();
        let keys = load_or_create(&state).unwrap();
        let refused = keys.begin_next().unwrap().public_key();
        keys.give_up_next().unwrap();
        keys.give_up_next().unwrap();
        assert_ne!(keys.begin_next().unwrap().public_key(), refused);
    }

    #[test]
    fn whoever_only_looks_finds_another_key_and_changes_nothing_on_disk() {
        let (_directory, state) = state();
        let keys = load_or_create(&state).unwrap();
        let (first, next) = (keys.public_key(), keys.begin_next().unwrap().public_key());
        let looking = look(&state).unwrap().unwrap();
        let (slot, found) = looking.another(&[first]).unwrap().unwrap();
        assert_eq!((slot, found.public_key()), (Slot::Next, next));
        looking.take_up(slot).unwrap();
        looking.give_up_next().unwrap();
        assert_eq!(looking.public_key(), next, "it signs here");
        assert_eq!(restarted(&state), first, "and nowhere else");
        assert_eq!(keys.next().unwrap().unwrap().public_key(), next);
    }

    #[test]
    fn one_key_alone_stays() {
        let (_directory, state) = state();
        let alone = Keyring::of(load_or_create(&state).unwrap().signing());
        let key = alone.public_key();
        alone.take_up(Slot::Next).unwrap();
        assert!(alone.another(&[key]).unwrap().is_none());
        assert_eq!((alone.public_key(), alone.begin_next().unwrap().public_key()), (key, key));
    }

    #[cfg(unix)]
    #[test]
    fn every_key_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_directory, state) = state();
        let keys = load_or_create(&state).unwrap();
        keys.begin_next().unwrap();
        keys.take_up(Slot::Next).unwrap();
        keys.begin_next().unwrap();
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let modes = [state.agent_key(), state.next_key(), state.previous_key()].map(|path| mode(&path));
        assert_eq!(modes, [0o600; 3]);
    }
}
