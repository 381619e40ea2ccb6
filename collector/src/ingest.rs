//! Ingest: a push becomes a batch on disk that is counted once.

mod decoders;

pub use decoders::Decoders;

use crate::{
    admission::{AdmitError, Admitted, Caller, admit},
    app::App,
    cost::Stage,
    metrics::BatchOutcome,
    quota::TooMuch,
    registry::{BatchSighting, Sighting},
    store::{PutOutcome, StoreError},
};
use bytes::Bytes;
use peerlight_proto::{
    ack::{Ack, Refusal, RefusalCode},
    batch::Batch,
    codec::{self, DecodeError, Decoded},
    drops::Signed,
    id::{AgentId, BatchDigest, BatchNumber},
};
use std::net::IpAddr;
use tokio::time::Instant;

/// Inflated bytes that take well under a millisecond to decode.
const SMALL: usize = 64 << 10;

/// A push: the body of a request whose signature was verified.
#[derive(Debug)]
pub struct Push {
    /// Who signed.
    pub caller: Caller,
    /// Where it came from, where that is known.
    pub address: Option<IpAddr>,
    /// The body.
    pub body: Bytes,
    /// Its SHA-256.
    pub digest: BatchDigest,
}

/// Why a push is not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body is not a batch within the limits.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The batch as a whole is not admitted.
    #[error(transparent)]
    Admit(#[from] AdmitError),
    /// The agent did more than it may in a day.
    #[error(transparent)]
    Quota(#[from] TooMuch),
    /// The number was used for other bytes.
    #[error(
        "batch {0} was stored before with other bytes; two agents share one identity, or a spool was tampered with"
    )]
    NumberReused(BatchNumber),
    /// Something in it would be refused for its age, but the collector's clock has jumped; the batch may come again.
    #[error(
        "the collector's clock has jumped, and may be wrong; the batch is neither refused nor taken until it is sure"
    )]
    Clock,
    /// The store failed; the batch may come again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The decoder ended abnormally.
    #[error("the decoder did not finish")]
    Decoder(#[from] tokio::task::JoinError),
}

/// Takes a push in: limits and decoding, then the ledger's word on a split batch's parent, then the pure checks, then one
/// durable transaction for data and ledger. What this returns may be acknowledged.
pub async fn ingest(app: &App, push: Push) -> Result<Ack, IngestError> {
    let Push { caller, address, body, digest } = push;
    let decoded = decode(app, body).await?;
    let number = decoded.batch.number;
    if parent_is_stored(app, caller.agent, &decoded.batch).await? {
        app.metrics.batch(BatchOutcome::Duplicate);
        // What the part carries beside its measurements was not kept: it is not signed for.
        return Ok(acknowledge(app, number, digest, true, Vec::new(), None));
    }

    let sighting = Sighting { at: app.clock.now(), address, batch: Some(BatchSighting::of(&decoded.batch)) };
    let agent = caller.agent;
    let (admitted, left_out) = app.quotas.within(admitted(app, decoded, digest, &caller)?)?;
    let (measurements, refused) = (admitted.measurements.len(), admitted.refused.clone());
    let dropped = admitted.dropped.as_ref().map(|account| account.signed);

    let duplicate = match put(app, admitted).await? {
        PutOutcome::Stored => false,
        PutOutcome::Duplicate => true,
        PutOutcome::NumberReused => return Err(IngestError::NumberReused(number)),
        PutOutcome::TooOld(_) if app.clock.jumped().is_some() => return Err(IngestError::Clock),
        PutOutcome::TooOld(complete_from) => return Err(AdmitError::TooOld(complete_from).into()),
    };
    if duplicate {
        app.metrics.batch(BatchOutcome::Duplicate);
    } else {
        app.metrics.batch(BatchOutcome::Stored);
        app.metrics.admitted(measurements);
        app.metrics.left_out(left_out);
        for refusal in &refused {
            app.metrics.refused(refusal.code);
        }
    }
    app.seen(agent, sighting);
    Ok(acknowledge(app, number, digest, duplicate, refused, dropped))
}

/// Small bodies are decoded where they are: that takes less than handing them to another thread would.
async fn decode(app: &App, body: Bytes) -> Result<Decoded, IngestError> {
    let decode =
        |app: &App, body: &Bytes| app.metrics.costs().spend(Stage::Decode, || app.decoders.decode(body));
    if codec::declared_size(&body).is_some_and(|size| size <= SMALL) {
        return Ok(decode(app, &body)?);
    }
    let _few = app.decoders.large().await;
    let app = app.clone();
    Ok(tokio::task::spawn_blocking(move || decode(&app, &body)).await??)
}

fn admitted(
    app: &App,
    decoded: Decoded,
    digest: BatchDigest,
    caller: &Caller,
) -> Result<Admitted, IngestError> {
    let (horizon, costs) = (app.config.retention.acceptance_horizon, app.metrics.costs());
    let admitted = costs.spend(Stage::Admit, || admit(decoded, digest, caller, horizon, app.clock.now()));
    // A refusal makes the agent delete, which a clock that is wrong for a moment must not.
    let by_age = |refusal: &Refusal| matches!(refusal.code, RefusalCode::Future | RefusalCode::TooOld);
    let refuses = match &admitted {
        Ok(admitted) => admitted.refused.iter().any(by_age),
        Err(error) => matches!(error, AdmitError::TooOld(_)),
    };
    if refuses && app.clock.jumped().is_some() {
        return Err(IngestError::Clock);
    }
    Ok(admitted?)
}

/// A part of a batch that had been stored whole, its acknowledgement lost, must not count again (rules, §5).
async fn parent_is_stored(app: &App, agent: AgentId, batch: &Batch) -> Result<bool, StoreError> {
    let Some(part) = batch.part.filter(|_| batch.number.agent == agent) else { return Ok(false) };
    let parent = BatchNumber { agent, session: part.session, sequence: part.sequence };
    Ok(app.store.ledgered(parent).await? == Some(part.digest))
}

async fn put(app: &App, admitted: Admitted) -> Result<PutOutcome, StoreError> {
    let begun = Instant::now();
    app.metrics.put_begins();
    let outcome = app.store.put(admitted).await;
    app.metrics.put_ends(begun.elapsed());
    outcome
}

fn acknowledge(
    app: &App,
    number: BatchNumber,
    digest: BatchDigest,
    duplicate: bool,
    refused: Vec<Refusal>,
    dropped: Option<Signed>,
) -> Ack {
    Ack { number, digest, collector_time: app.clock.now(), duplicate, refused, dropped }
}
