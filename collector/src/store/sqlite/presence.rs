//! Presence: when each agent first and last measured what. Of what is in segments it stands in one block for each stripe;
//! the log tells the rest.

use super::{
    block::{Key, Span, spans},
    log::{Logged, stripe_of},
};
use crate::{registry::RegistrationId, store::StoreError};
use hashbrown::{HashMap, HashSet, hash_map::Entry};
use peerlight_proto::time::IntervalLength;
use prost::encoding::{decode_varint, encode_varint};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// An agent, a registration and a shape, by number.
pub(super) type Seen = (u32, i64, u32);

/// The presence of any agents by numbers, in the order of what was seen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Numbered(Vec<(Seen, Span)>);

impl Numbered {
    /// Adds spans of what is seen now.
    pub(super) fn add(&mut self, spans: impl IntoIterator<Item = (Seen, Span)>) {
        let known = self.0.len();
        self.0.extend(spans);
        // Both halves in order: the sort of the whole then is a merge.
        self.0[known..].sort_by_key(|(seen, _span)| *seen);
        self.0.sort_by_key(|(seen, _span)| *seen);
        self.0.dedup_by(|(seen, span), (kept, sum)| {
            let same = seen == kept;
            if same {
                *sum = (sum.0.min(span.0), sum.1.max(span.1));
            }
            same
        });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Seen, Span)> {
        self.0.iter().copied()
    }

    /// Keeps what these want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Seen, Span) -> bool) {
        self.0.retain(|(seen, span)| keep(*seen, *span));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads what is known of a stripe.
    pub(super) fn of_stripe(db: &Connection, organisation: i64, stripe: u32) -> Result<Self, StoreError> {
        let block: Option<Vec<u8>> = db
            .prepare_cached("SELECT block FROM presence WHERE organisation = ?1 AND stripe = ?2")
            .and_then(|mut statement| {
                statement.query_row(params![organisation, stripe], |row| row.get(0)).optional()
            })
            .map_err(StoreError::while_doing("read the presence of agents"))?;
        block.map_or_else(|| Ok(Self::default()), |block| Self::decode(&block))
    }

    /// The stripes of an organisation of which anything is known.
    pub(super) fn stripes(db: &Connection, organisation: i64) -> rusqlite::Result<BTreeSet<u32>> {
        let mut statement = db.prepare_cached("SELECT stripe FROM presence WHERE organisation = ?1")?;
        statement.query_map([organisation], |row| row.get(0))?.collect()
    }

    /// Writes what is known of a stripe in the place of what was.
    pub(super) fn replace(&self, db: &Connection, organisation: i64, stripe: u32) -> rusqlite::Result<()> {
        if self.is_empty() {
            db.prepare_cached("DELETE FROM presence WHERE organisation = ?1 AND stripe = ?2")?
                .execute(params![organisation, stripe])?;
        } else {
            db.prepare_cached(
                "INSERT INTO presence (organisation, stripe, block) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET block = excluded.block",
            )?
            .execute(params![organisation, stripe, self.encode()])?;
        }
        Ok(())
    }

    /// Each number as its difference to the one before: agents and registrations repeat, spans are alike.
    fn encode(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(self.0.len() * 8);
        encode_varint(self.0.len() as u64, &mut block);
        let mut before = [0; 5];
        for ((agent, registration, shape), (first, last)) in self.iter() {
            let numbers = [i64::from(agent), registration, i64::from(shape), first, last];
            for (number, before) in numbers.iter().zip(before) {
                let step = number.wrapping_sub(before);
                encode_varint(((step << 1) ^ (step >> 63)).cast_unsigned(), &mut block);
            }
            before = numbers;
        }
        block
    }

    fn decode(mut block: &[u8]) -> Result<Self, StoreError> {
        let length = block.len();
        let damaged = |detail: String| StoreError::Damaged { what: "presence of agents", detail };
        let mut number = || decode_varint(&mut block).map_err(|error| damaged(error.to_string()));
        let count = number()?;
        // Five bytes each at least.
        let mut presences = Vec::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(length / 5));
        let mut before = [0_i64; 5];
        for _entry in 0..count {
            for field in &mut before {
                let step = number()?;
                *field = field.wrapping_add((step >> 1).cast_signed() ^ -(step & 1).cast_signed());
            }
            let [agent, registration, shape, first, last] = before;
            let narrow = |number: i64| u32::try_from(number).map_err(|error| damaged(error.to_string()));
            presences.push(((narrow(agent)?, registration, narrow(shape)?), (first, last)));
        }
        Ok(Self(presences))
    }
}

/// The rows of an agent's batch by origin and shape.
type Rows = Arc<[(u32, u32)]>;

/// The rows that batches of the log hold, and from when to when each was measured.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    /// By agent and rows, as batches of one minute tell them: from when to when there was such a batch, and the rows.
    minutes: HashMap<(u32, i64), (Span, Rows)>,
    /// The agents of a site mostly measure the same.
    lists: HashSet<Rows>,
    /// The rows of other batches.
    others: Vec<(Key, Span)>,
}

impl Sightings {
    /// Adds a batch. Its block is read if its rows are not known: mostly an agent measures the same each minute.
    pub(super) fn see(&mut self, batch: &Logged<'_>) -> Result<(), StoreError> {
        let Some(rows) = batch.rows else {
            return batch.read(|block| spans(block, |key, span| self.others.push((key, span))));
        };
        let minute = (batch.oldest_start, batch.oldest_start + i64::from(IntervalLength::MINUTE.as_secs()));
        match self.minutes.entry((batch.agent, rows)) {
            Entry::Occupied(known) => {
                let (span, _rows) = known.into_mut();
                *span = (span.0.min(minute.0), span.1.max(minute.1));
            }
            Entry::Vacant(new) => {
                let mut rows = Vec::new();
                batch.read(|block| spans(block, |key, _span| rows.push((key.origin, key.shape))))?;
                let list = self.lists.get_or_insert_with(rows.as_slice(), |rows| rows.into());
                new.insert((minute, Arc::clone(list)));
            }
        }
        Ok(())
    }

    /// The rows of each stripe with a span of each; some may come twice.
    pub(super) fn by_stripe(self) -> BTreeMap<u32, OfStripe> {
        let mut stripes: BTreeMap<u32, OfStripe> = BTreeMap::new();
        for ((agent, _rows), (span, rows)) in self.minutes {
            stripes.entry(stripe_of(agent)).or_default().minutes.push((agent, span, rows));
        }
        for (key, span) in self.others {
            stripes.entry(stripe_of(key.agent)).or_default().others.push((key, span));
        }
        stripes
    }
}

/// The rows of one stripe.
#[derive(Debug, Default)]
pub(super) struct OfStripe {
    minutes: Vec<(u32, Span, Rows)>,
    others: Vec<(Key, Span)>,
}

impl OfStripe {
    /// The rows with a span of each.
    pub(super) fn spans(&self) -> impl Iterator<Item = (Key, Span)> {
        let minutes = self.minutes.iter().flat_map(|(agent, span, rows)| {
            rows.iter().map(|&(origin, shape)| (Key { origin, agent: *agent, shape }, *span))
        });
        minutes.chain(self.others.iter().copied())
    }
}

/// The stripes of an organisation in which an agent was present for a registration, and from when to when any was, as segments
/// tell.
pub(super) fn presence_of(
    db: &Connection,
    organisation: i64,
    registration: RegistrationId,
) -> Result<(BTreeSet<u32>, Option<Span>), StoreError> {
    let (mut of, mut all): (_, Option<Span>) = (BTreeSet::new(), None);
    let stripes = Numbered::stripes(db, organisation);
    for stripe in stripes.map_err(StoreError::while_doing("read the presence of agents"))? {
        let presences = Numbered::of_stripe(db, organisation, stripe)?;
        for (_, span) in presences.iter().filter(|((_, there, _), _)| *there == registration.0) {
            of.insert(stripe);
            let (first, last) = all.unwrap_or(span);
            all = Some((first.min(span.0), last.max(span.1)));
        }
    }
    Ok((of, all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn presence_reads_back_as_it_was_written(
            seen in prop::collection::btree_map((any::<u32>(), any::<i64>(), any::<u32>()), any::<(i64, i64)>(), 0..40),
        ) {
            let presences = Numbered(seen.into_iter().collect());
            prop_assert_eq!(Numbered::decode(&presences.encode()).unwrap(), presences);
        }

        #[test]
        fn damaged_presence_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Numbered::decode(&bytes);
        }
    }
}
