//! What is wrong with a collector, and what to do about it: for whoever is woken by it. Pure.

use super::Vitals;
use crate::rfc3339;
use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Less than this is hardly enough for the writer and a compaction.
const LITTLE_ROOM: u64 = 512 << 20;
/// A disk that is full within so many days leaves little time to order another.
const SOON_DAYS: u64 = 7;
/// The log is folded each quarter hour, 90 seconds after its end.
const LONG_UNFOLDED_S: u64 = 40 * 60;
/// Agents push every minute.
const LONG_WITHOUT_NEWS_S: u64 = 10 * 60;
/// More than this wait only where the writer cannot keep up.
const LONG_QUEUE: u64 = 1_000;
/// Of ten agents, one may be switched off.
const MANY_SILENT: u64 = 10;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Concern {
    /// What.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// Everything that is wrong, the gravest first.
pub fn concerns(vitals: &Vitals) -> Vec<Concern> {
    [
        writer(vitals),
        disk(vitals),
        damage(vitals),
        compaction(vitals),
        queue(vitals),
        connections(vitals),
        news(vitals),
        agents(vitals),
        refusals(vitals),
        receivers(vitals),
    ]
    .into_iter()
    .flatten()
    .map(|(what, advice)| Concern { what, advice: advice.to_owned() })
    .collect()
}

type Found = Option<(String, &'static str)>;

fn writer(vitals: &Vitals) -> Found {
    let failing = vitals.writer_failing.as_ref()?;
    let what =
        format!("batches cannot be written since {}: {}", rfc3339::seconds(failing.since), failing.error);
    Some((
        what,
        "free space on the store's disk, or see the log; agents keep what they measure and send it again",
    ))
}

fn disk(vitals: &Vitals) -> Found {
    let advice = "move to a larger disk or shorten the [retention]; `peerlight-collector storage` shows what takes the room";
    let free = vitals.disk.free_bytes.filter(|free| *free < LITTLE_ROOM);
    let full = vitals.disk.full_in_days.filter(|days| *days <= SOON_DAYS);
    let what = match (free, full) {
        (Some(free), _) => format!("{} are free on the store's disk", ByteSize(free).display().si()),
        (None, Some(days)) => format!("the store's disk is full in {days} days"),
        (None, None) => return None,
    };
    Some((what, advice))
}

fn damage(vitals: &Vitals) -> Found {
    let damaged = vitals.store.damaged_batches;
    let what = format!("{damaged} batches were set aside because the store's file was damaged");
    (damaged > 0).then_some((
        what,
        "check the disk, run `peerlight-collector verify`, and restore a backup if it is not sound",
    ))
}

fn compaction(vitals: &Vitals) -> Found {
    let advice = "see the log for the reason; reports stay right and get slower";
    if let Some(error) = vitals.compaction.as_ref().and_then(|compaction| compaction.error.as_ref()) {
        return Some((format!("the last compaction failed: {error}"), advice));
    }
    let age = vitals.log_age_s.filter(|age| *age > LONG_UNFOLDED_S)?;
    Some((format!("batches have waited for {} min to be folded into segments", age / 60), advice))
}

fn queue(vitals: &Vitals) -> Found {
    let what = format!("{} batches wait for the writer", vitals.queue_depth);
    (vitals.queue_depth > LONG_QUEUE).then_some((
        what,
        "see whether the disk is slow (commits below) or the machine busy; agents wait and lose nothing",
    ))
}

fn connections(vitals: &Vitals) -> Found {
    let full = vitals.connections.iter().find(|one| one.limit > 0 && one.open * 10 >= one.limit * 9)?;
    let what =
        format!("the listener for {} holds {} of {} connections", full.listener, full.open, full.limit);
    Some((what, "raise [limits] connections, or see who holds them"))
}

fn news(vitals: &Vitals) -> Found {
    if vitals.agents.enrolled == 0 {
        return None;
    }
    let advice = "see `peerlight-collector agent list`, and at a site `peerlight-agent status`: most likely agents do not reach \
                  this collector";
    let age = vitals.newest_interval_age_s.filter(|age| *age > LONG_WITHOUT_NEWS_S)?;
    Some((format!("nothing newer than {} min was stored", age / 60), advice))
}

fn agents(vitals: &Vitals) -> Found {
    let (silent, enrolled) = (vitals.agents.silent, vitals.agents.enrolled);
    let what = format!("{silent} of {enrolled} agents were not heard of within ten minutes");
    (silent > 0 && silent * MANY_SILENT >= enrolled)
        .then_some((what, "see `peerlight-collector agent list`; retire agents that are gone"))
}

fn refusals(vitals: &Vitals) -> Found {
    let refusing = vitals.agents.refusing;
    let what = format!("{refusing} agents refuse the targets that they are assigned");
    (refusing > 0).then_some((
        what,
        "see why in `peerlight-collector agent list --unhealthy`; they go on with what they had, and `target roll-back` takes the \
         targets back",
    ))
}

fn receivers(vitals: &Vitals) -> Found {
    let advice = "see why in `peerlight-collector alert show`, and whether [alerts] of the configuration names it right; each event \
                  is tried again for a day";
    let deaf = vitals.receivers.iter().find(|one| one.waiting > 0 || one.given_up > 0)?;
    let what = format!(
        "the receiver of alerts `{}` has not taken {} events, and {} were given up",
        deaf.name, deaf.waiting, deaf.given_up
    );
    Some((what, advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vitals::{AgentVitals, Compaction, Connections, DiskVitals, ReceiverVitals, WriterFailing};
    use peerlight_proto::time::Timestamp;

    fn whats(vitals: &Vitals) -> Vec<String> {
        concerns(vitals).into_iter().map(|concern| concern.what).collect()
    }

    #[test]
    fn a_collector_that_works_raises_nothing() {
        let well = Vitals {
            queue_depth: 3,
            newest_interval_age_s: Some(70),
            log_age_s: Some(1_000),
            disk: DiskVitals { free_bytes: Some(1 << 40), full_in_days: Some(400), ..DiskVitals::default() },
            connections: vec![Connections { listener: "agents".into(), open: 80, limit: 100 }],
            agents: AgentVitals { enrolled: 100, seen_lately: 95, silent: 5, ..AgentVitals::default() },
            ..Vitals::default()
        };
        assert_eq!(whats(&well), Vec::<String>::new());
        assert_eq!(
            whats(&Vitals { newest_interval_age_s: Some(9_999), ..Vitals::default() }),
            Vec::<String>::new()
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_the_gravest_first() {
        let at = Timestamp::from_secs(1_790_000_000);
        let mut ill = Vitals {
            writer_failing: Some(WriterFailing { since: at, error: "the disk is full".into() }),
            queue_depth: 1_001,
            newest_interval_age_s: Some(601),
            log_age_s: Some(2_401),
            disk: DiskVitals { free_bytes: Some(1_000_000), full_in_days: Some(0), ..DiskVitals::default() },
            connections: vec![Connections { listener: "agents".into(), open: 90, limit: 100 }],
            receivers: vec![
                ReceiverVitals { name: "noc".into(), waiting: 0, given_up: 0 },
                ReceiverVitals { name: "pager".into(), waiting: 2, given_up: 1 },
            ],
            agents: AgentVitals {
                enrolled: 10,
                seen_lately: 9,
                silent: 1,
                refusing: 3,
                ..AgentVitals::default()
            },
            ..Vitals::default()
        };
        ill.store.damaged_batches = 2;
        assert_eq!(
            whats(&ill),
            [
                "batches cannot be written since 2026-09-21T14:13:20Z: the disk is full",
                "1.0 MB are free on the store's disk",
                "2 batches were set aside because the store's file was damaged",
                "batches have waited for 40 min to be folded into segments",
                "1001 batches wait for the writer",
                "the listener for agents holds 90 of 100 connections",
                "nothing newer than 10 min was stored",
                "1 of 10 agents were not heard of within ten minutes",
                "3 agents refuse the targets that they are assigned",
                "the receiver of alerts `pager` has not taken 2 events, and 1 were given up",
            ]
        );
        ill.disk.free_bytes = None;
        ill.compaction = Some(Compaction { at, took_ms: 1.0, error: Some("the store is closed".into()) });
        assert_eq!(whats(&ill)[1], "the store's disk is full in 0 days");
        assert_eq!(whats(&ill)[3], "the last compaction failed: the store is closed");
    }
}
