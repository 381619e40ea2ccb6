//! Random scripts of batches, replays, roll-ups, expiry and questions: a backend answers each as the model does.

use super::{MemoryStore, Query, Store};
use crate::{
    admission::{Admitted, Caller, admit},
    organisation::OrganisationId,
    store::{
        Presences, Present, SqliteStore,
        fixture::{
            DAY, MIDNIGHT, MINUTE, RETENTION, batch, caller, digest, each, measurement, reattribute, series,
        },
        slot_of,
    },
};
use peerlight_proto::{batch::Batch, codec::Decoded, measurement::Observed, metric::Metric, time::Timestamp};
use proptest::prelude::*;
use std::{collections::BTreeSet, time::Duration};

#[derive(Debug, Clone)]
enum Step {
    /// One of three sites, in two organisations, pushes what it measured a while ago.
    Put {
        site: u8,
        minutes_ago: u32,
        minutes: u32,
        length: u32,
        values: Vec<u64>,
        observed: u8,
        name: bool,
        offset: Option<i64>,
    },
    /// A batch that was pushed before comes again.
    Replay(prop::sample::Index),
    /// Time passes.
    Pass(u32),
    Compact,
    Expire,
    /// What was measured from so many days ago until so many minutes ago goes from a site to another.
    Reattribute {
        days_ago: Option<u32>,
        minutes_ago: u32,
        there: bool,
    },
    /// What was measured in `minutes` that began `minutes_ago`.
    Scan {
        minutes_ago: u32,
        minutes: u32,
        step: Option<u32>,
        metric: bool,
        site: Option<u8>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = (
        (0..3_u8, 0..1_400_u32, 1..4_u32),
        prop::sample::select(vec![10_u32, 60, 300, 900]),
        prop::collection::vec(0..200_000_u64, 0..6),
        (0..3_u8, any::<bool>(), prop::option::of(-9_000_000..9_000_000_i64)),
    );
    let put = put.prop_map(|((site, minutes_ago, minutes), length, values, (observed, name, offset))| {
        Step::Put { site, minutes_ago, minutes, length, values, observed, name, offset }
    });
    let step = prop::sample::select(vec![None, Some(60), Some(900), Some(3_600), Some(86_400)]);
    let scan = (0..15_000_u32, 0..15_000_u32, step, any::<bool>(), prop::option::of(0..3_u8)).prop_map(
        |(minutes_ago, minutes, step, metric, site)| Step::Scan { minutes_ago, minutes, step, metric, site },
    );
    let reattribute = (prop::option::of(0..12_u32), 0..2_000_u32, any::<bool>())
        .prop_map(|(days_ago, minutes_ago, there)| Step::Reattribute { days_ago, minutes_ago, there });
    let step = prop_oneof![
        6 => put,
        1 => any::<prop::sample::Index>().prop_map(Step::Replay),
        3 => (1..1_500_u32).prop_map(Step::Pass),
        2 => Just(Step::Compact),
        1 => Just(Step::Expire),
        4 => scan,
        1 => reattribute,
    ];
    prop::collection::vec(step, 1..60)
}

/// The backend and the model, and what both have seen.
struct Trial<S> {
    store: S,
    model: MemoryStore,
    now: Timestamp,
    pushed: Vec<(Caller, Batch)>,
}

impl<S: Store> Trial<S> {
    async fn take(&mut self, step: Step) {
        match step {
            Step::Put { site, minutes_ago, minutes, length, values, observed, name, offset } => {
                let start = self.now.minus(MINUTE * minutes_ago);
                let intervals = (0..minutes).map(|minute| {
                    let mut measured = measurement(
                        minute % 2,
                        start.plus(Duration::from_secs(u64::from(length * minute))),
                        length,
                        &values,
                    );
                    measured.observed = [None, Some("192.0.2.9"), Some("198.51.100.1")]
                        [usize::from(observed)]
                    .map(|address| Observed { address: address.parse().unwrap(), age_seconds: 1 });
                    measured
                });
                let caller = caller_of(site);
                let mut batch = batch(&caller, self.pushed.len() as u64, intervals.collect());
                batch.clock_offset_us = offset;
                if name {
                    batch.series[0] = series(Metric::TcpConnect, "mail");
                }
                self.push(&caller, &batch).await;
                self.pushed.push((caller, batch));
            }
            Step::Replay(which) => {
                if !self.pushed.is_empty() {
                    let (caller, batch) = which.get(&self.pushed).clone();
                    self.push(&caller, &batch).await;
                }
            }
            Step::Pass(minutes) => self.now = self.now.plus(MINUTE * minutes),
            Step::Compact => {
                self.store.compact(self.now).await.unwrap();
            }
            Step::Expire => {
                let expired = self.store.expire(self.now, RETENTION).await.unwrap();
                let expected = self.model.expire(self.now, RETENTION).await.unwrap();
                assert_eq!(expired.ledger_entries, expected.ledger_entries);
            }
            Step::Reattribute { days_ago, minutes_ago, there } => {
                self.reattribute(days_ago, minutes_ago, there).await;
            }
            Step::Scan { minutes_ago, minutes, step, metric, site } => {
                let from = self.now.minus(MINUTE * minutes_ago);
                self.ask(Query {
                    organisation: OrganisationId(1),
                    from,
                    to: from.plus(MINUTE * minutes),
                    metrics: metric.then_some(Metric::TcpConnect).into_iter().collect(),
                    registrations: site.map(|site| BTreeSet::from([caller_of(site).registration.id])),
                    step: step.map(|seconds| Duration::from_secs(u64::from(seconds))),
                })
                .await;
            }
        }
    }

    /// Pushes through admission, which refuses what is too old by itself.
    async fn push(&self, caller: &Caller, batch: &Batch) {
        let admitted = || -> Option<Admitted> {
            let indices = (0..u32::try_from(batch.measurements.len()).unwrap()).collect();
            let decoded = Decoded { batch: batch.clone(), indices, refused: Vec::new() };
            admit(decoded, digest(batch), caller, RETENTION.acceptance_horizon, self.now).ok()
        };
        if let (Some(ours), Some(models)) = (admitted(), admitted()) {
            assert_eq!(self.store.put(ours).await.unwrap(), self.model.put(models).await.unwrap());
        }
    }

    /// From a midnight, where days may be all that is left, until a minute of which batches are left.
    async fn reattribute(&self, days_ago: Option<u32>, minutes_ago: u32, there: bool) {
        let midnight = |days| slot_of(self.now.minus(DAY * days), DAY);
        let until = slot_of(self.now.minus(MINUTE * minutes_ago), MINUTE);
        let (from, to) = if there { (0, 1) } else { (1, 0) };
        let order = reattribute(from, to, days_ago.map(midnight), until);
        self.store.begin_reattribution(order.clone()).await.unwrap();
        self.store.reattribute(self.now).await.unwrap();
        self.model.begin_reattribution(order).await.unwrap();
    }

    async fn ask(&self, query: Query) {
        let answer = each(&self.store, query.clone()).await.unwrap();
        assert_eq!(answer, each(&self.model, query.clone()).await.unwrap(), "at {:?}: {query:?}", self.now);
    }

    /// Everything, at every step and from both organisations.
    async fn ask_everything(&self) {
        for organisation in [1, 2].map(OrganisationId) {
            for step in [None, Some(60), Some(900), Some(86_400)] {
                self.ask(Query {
                    organisation,
                    from: MIDNIGHT.minus(DAY),
                    to: self.now.plus(DAY),
                    metrics: BTreeSet::new(),
                    registrations: None,
                    step: step.map(Duration::from_secs),
                })
                .await;
            }
            let sorted = |presence: Presences| {
                let mut presence: Vec<_> = presence.iter().map(Present::alone).collect();
                presence.sort_by_key(|one| (one.agent, one.registration, one.shape.id()));
                presence
            };
            let presence = self.store.presence(organisation).await.unwrap();
            assert_eq!(sorted(presence), sorted(self.model.presence(organisation).await.unwrap()));
        }
    }
}

fn caller_of(site: u8) -> Caller {
    caller(i64::from(1 + site / 2), site)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_any_script_as_the_model_does(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut trial = Trial {
                store: SqliteStore::open(&directory.path().join("store.sqlite")).unwrap(),
                model: MemoryStore::default(),
                now: MIDNIGHT.plus(DAY),
                pushed: Vec::new(),
            };
            for step in steps {
                trial.take(step).await;
            }
            trial.ask_everything().await;
            trial.store.compact(trial.now.plus(DAY)).await.unwrap();
            trial.ask_everything().await;
            let verified = SqliteStore::verify(&directory.path().join("store.sqlite"), &mut |_done, _steps| {});
            assert_eq!(verified.unwrap().told, Vec::<String>::new());
        });
    }
}
