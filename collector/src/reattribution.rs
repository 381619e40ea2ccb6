//! Re-attributions from the store's work to the registry's audit: whoever carries one out sees to it that it is audited.

use crate::{
    app::App,
    lasting::Lasting,
    organisation::OrganisationId,
    registry::{RegistrationId, RegistryError},
    rfc3339,
    store::{Reattribution, StoreError},
};
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often work that was interrupted is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Why a re-attribution was not carried out, or not audited; both are tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReattributionError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The thread that asked the registry ended abnormally.
    #[error("the registry was not asked")]
    Asker(#[from] tokio::task::JoinError),
}

/// A re-attribution as the audit, the API and the command line show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReattributionEntry {
    /// Its number.
    pub id: i64,
    /// The number of the registration that the measurements counted for.
    #[schema(value_type = i64)]
    pub from: RegistrationId,
    /// The number of the registration that they count for now.
    #[schema(value_type = i64)]
    pub to: RegistrationId,
    /// Only measurements whose interval starts at or after this instant; null means every one.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Only measurements whose interval starts before this instant.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// The operator token's name, or `local`.
    pub who: String,
    /// Why.
    pub reason: String,
    /// When it was asked for.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub begun: Timestamp,
    /// When the last of it was moved; null while it is under way.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished: Option<Timestamp>,
    /// Measurements that were moved as they came.
    pub measurements: u64,
    /// Rows of rollups that were moved, of measurements that have expired.
    pub rollup_rows: u64,
    /// The probes that both count, once in each of their series.
    pub probes: u64,
    /// Rollups that are recomputed because of it.
    pub spans: u64,
    /// Damaged blocks, left as they were.
    pub unreadable: u64,
}

impl From<&Reattribution> for ReattributionEntry {
    fn from(done: &Reattribution) -> Self {
        let (order, moved) = (&done.order, done.moved);
        Self {
            id: done.id,
            from: order.from,
            to: order.to,
            since: order.since,
            until: order.until,
            who: order.who.clone(),
            reason: order.reason.clone(),
            begun: order.begun,
            finished: done.finished,
            measurements: moved.measurements,
            rollup_rows: moved.rollup_rows,
            probes: moved.probes,
            spans: moved.spans,
            unreadable: moved.unreadable,
        }
    }
}

/// Carries out what was begun and audits what is finished, until `shutdown`: also what a crash left behind.
pub async fn keep_on(app: &App, shutdown: CancellationToken) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut audited, mut failing) = (BTreeSet::new(), Lasting::default());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = look.tick() => {}
        }
        // A shutdown ends it between two transactions; it goes on when the collector runs again.
        let done = tokio::select! {
            () = shutdown.cancelled() => return,
            done = carry_out(app, &mut audited) => done,
        };
        match done {
            Ok(()) => drop(failing.works(Instant::now())),
            Err(error) => {
                if failing.fails(1, Instant::now()).is_some() {
                    tracing::error!(%error, "a re-attribution did not finish; it is tried again");
                }
            }
        }
    }
}

/// Carries out what was begun and audits what is finished. `audited` is what is known to stand in the audit.
pub async fn carry_out(app: &App, audited: &mut BTreeSet<i64>) -> Result<(), ReattributionError> {
    app.store.reattribute(app.clock.now()).await?;
    for done in app.store.reattributions().await? {
        if done.finished.is_some() && !audited.contains(&done.id) {
            let (registry, now) = (app.registry.clone(), app.clock.now());
            let (entry, organisation) = (ReattributionEntry::from(&done), done.order.organisation);
            tokio::task::spawn_blocking(move || registry.audit_reattribution(organisation, &entry, now))
                .await??;
            audited.insert(done.id);
        }
    }
    Ok(())
}

/// Every re-attribution of an organisation, the latest first.
pub async fn list(app: &App, organisation: OrganisationId) -> Result<Vec<ReattributionEntry>, StoreError> {
    let all = app.store.reattributions().await?;
    Ok(all.iter().filter(|one| one.order.organisation == organisation).map(Into::into).collect())
}
