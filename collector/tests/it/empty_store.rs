//! A store that holds nothing: what tests of the registry need of one.

use futures::{
    FutureExt as _,
    future::{BoxFuture, ready},
};
use peerlight_collector::{
    ingest::Admitted,
    organisation::OrganisationId,
    store::{Expired, Health, Presence, PutOutcome, Query, Retention, Row, Store, StoreError},
};
use peerlight_proto::{
    id::{BatchDigest, BatchNumber},
    time::Timestamp,
};

/// Holds nothing and takes nothing.
pub(crate) struct EmptyStore;

impl Store for EmptyStore {
    fn put(&self, _admitted: Admitted) -> BoxFuture<'_, Result<PutOutcome, StoreError>> {
        ready(Err(StoreError::Closed)).boxed()
    }

    fn ledgered(&self, _number: BatchNumber) -> BoxFuture<'_, Result<Option<BatchDigest>, StoreError>> {
        ready(Ok(None)).boxed()
    }

    fn scan(&self, _query: Query) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn presence(&self, _organisation: OrganisationId) -> BoxFuture<'_, Result<Vec<Presence>, StoreError>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn roll_up(&self, _now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        ready(Ok(0)).boxed()
    }

    fn expire(&self, _now: Timestamp, _retention: Retention) -> BoxFuture<'_, Result<Expired, StoreError>> {
        ready(Ok(Expired::default())).boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        ready(Ok(Health::default())).boxed()
    }
}
