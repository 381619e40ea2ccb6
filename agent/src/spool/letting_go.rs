//! Giving up: what is dropped, set aside or rejected is counted durably, and then goes.

use super::{
    Key, Spool, SpoolError, account,
    directory::Apart,
    given_up::{self, GivenUpCounts, Going},
    key::file_name,
    pack::Draft,
};
use peerlight_proto::{
    codec::decode_batch,
    drops::{DropEntry, DropReason},
    id::AccountId,
};

impl Spool {
    /// Counts batches durably as given up, and then lets them go. A crash in between is made good at the next start, so that
    /// none is counted twice and none is sent that was counted.
    pub(super) fn let_go(
        &mut self,
        keys: &[Key],
        reason: DropReason,
        apart: Option<Apart>,
        count: impl FnOnce(&mut GivenUpCounts),
    ) -> Result<(), SpoolError> {
        let held: Vec<DropEntry> = keys.iter().flat_map(|key| self.held(*key, reason)).collect();
        let going = keys.iter().map(|key| Going { name: file_name(*key), apart }).collect();
        self.give_up(
            |counts| {
                count(counts);
                held
            },
            going,
        )?;
        for key in keys {
            self.forget(*key);
        }
        self.finish()
    }

    /// What a waiting batch holds.
    pub(super) fn held(&self, key: Key, reason: DropReason) -> Vec<DropEntry> {
        let file = self.directory.read(key).ok().flatten();
        let record = file.as_deref().and_then(|file| self.parse(key, file).ok());
        record.and_then(|record| decode_batch(record.bytes).ok()).map_or_else(
            || vec![account::unread(key.newest_end, reason)],
            |decoded| account::content(&Draft::of(decoded.batch), reason),
        )
    }

    /// Counts durably: what `count` counts for people and returns for the collector, and what the disk did not take before.
    /// Nothing is counted if that cannot be written.
    pub(super) fn give_up(
        &mut self,
        count: impl FnOnce(&mut GivenUpCounts) -> Vec<DropEntry>,
        going: Vec<Going>,
    ) -> Result<(), SpoolError> {
        let mut next = self.given_up.clone();
        let dropped = count(&mut next.counts);
        for entry in self.unwritten.iter().cloned().chain(dropped) {
            next.counts.lost_measurements += entry.measurements;
            next.account.add(entry, AccountId::new(rand::random()));
        }
        next.going.extend(going);
        given_up::write(&self.directory, &next)?;
        self.given_up = next;
        self.unwritten.clear();
        Ok(())
    }

    /// Lets go what was counted as given up.
    pub(super) fn finish(&mut self) -> Result<(), SpoolError> {
        self.directory.let_go(&self.given_up.going)?;
        // Written with the next loss; until then a restart finds these files gone.
        self.given_up.going.clear();
        Ok(())
    }
}
