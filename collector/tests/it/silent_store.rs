//! A store that holds nothing: for the tests that push nothing.

use futures::{FutureExt as _, future::BoxFuture};
use peerlight_collector::{
    ingest::Admitted,
    organisation::OrganisationId,
    store::{Expired, Health, Presence, PutOutcome, Query, Retention, Row, Store, StoreError},
};
use peerlight_proto::{
    id::{BatchDigest, BatchNumber},
    time::Timestamp,
};

/// Holds nothing, and refuses what it is given.
pub(crate) struct SilentStore;

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

fn answer<T: Send + 'static>(result: Result<T, StoreError>) -> Answer<'static, T> {
    std::future::ready(result).boxed()
}

impl Store for SilentStore {
    fn put(&self, _admitted: Admitted) -> Answer<'_, PutOutcome> {
        answer(Err(StoreError::Closed))
    }

    fn ledgered(&self, _number: BatchNumber) -> Answer<'_, Option<BatchDigest>> {
        answer(Ok(None))
    }

    fn scan(&self, _query: Query) -> Answer<'_, Vec<Row>> {
        answer(Ok(Vec::new()))
    }

    fn presence(&self, _organisation: OrganisationId) -> Answer<'_, Vec<Presence>> {
        answer(Ok(Vec::new()))
    }

    fn roll_up(&self, _now: Timestamp) -> Answer<'_, u64> {
        answer(Ok(0))
    }

    fn expire(&self, _now: Timestamp, _retention: Retention) -> Answer<'_, Expired> {
        answer(Ok(Expired::default()))
    }

    fn health(&self) -> Answer<'_, Health> {
        answer(Ok(Health::default()))
    }
}
