//! Reports of a workload: what each takes, and whether it is right.

use crate::{
    Workload, after, cpu, milliseconds, print,
    workload::{ASKED, BEGIN, Truth},
};
use anyhow::{Context as _, bail, ensure};
use peerlight_collector::{
    organisation::OrganisationId,
    registry::Registrations,
    report::{
        Dimension, Evidence, Groups, Question, Report, answer,
        availability::{AvailabilityQuestion, Ground, Observing},
        silence::Silences,
        time_of_day::{Gathering, TimeOfDayQuestion},
    },
    store::{SqliteStore, Store as _},
};
use peerlight_proto::time::Timestamp;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// A store that was filled, to be asked.
pub(crate) struct Bench<'a> {
    pub(crate) store: &'a SqliteStore,
    pub(crate) registrations: Registrations,
    pub(crate) repeat: usize,
}

impl Bench<'_> {
    /// Asks what a workload is to be asked: `hour` is the truth of its first hour. Returns the CPU milliseconds of the whole
    /// report over [`Workload::asked_minutes`].
    pub(crate) async fn workload(
        &self,
        workload: Workload,
        truth: &Truth,
        hour: &Truth,
    ) -> anyhow::Result<f64> {
        let end = after(workload.minutes());
        match workload {
            Workload::A => {
                let closed = question(BEGIN, after(60));
                let report = self.ask("report of a closed hour", &closed, Some(hour), 15.0).await?;
                for minutes in [63, 70, 77, 89] {
                    let last = question(after(minutes - 60), after(minutes));
                    self.ask(&format!("report of the hour until {minutes} minutes"), &last, None, 60.0)
                        .await?;
                }
                Ok(report)
            }
            Workload::B | Workload::D => {
                let day = question(BEGIN, end);
                let report = self.ask("report of a day", &day, Some(truth), 60.0).await?;
                let odd = question(after(7), end);
                self.ask("report of a day less seven minutes", &odd, None, 60.0).await?;
                Ok(report)
            }
            Workload::C => {
                let month = question(BEGIN, end);
                let report = self.ask("report of thirty days", &month, Some(truth), 250.0).await?;
                let odd = question(after(847), end);
                self.ask("report of thirty days less 847 minutes", &odd, None, 250.0).await?;
                self.availability(end).await?;
                self.time_of_day(end).await?;
                Ok(report)
            }
        }
    }

    /// Asks some times and prints the median of the CPU time that the store's part took, and the whole report: that one is
    /// returned, in milliseconds.
    async fn ask(
        &self,
        what: &str,
        question: &Question,
        truth: Option<&Truth>,
        target_ms: f64,
    ) -> anyhow::Result<f64> {
        let (mut scans, mut reports) = (Vec::new(), Vec::new());
        let mut last = None;
        for _time in 0..self.repeat {
            let begun = cpu()?;
            let presence = self.store.presence(question.organisation).await?;
            let query = question.query(&self.registrations);
            let groups = Arc::new(Groups::new(question.clone(), self.registrations.clone(), &presence));
            let grouped = cpu()?;
            let rows = self.store.scan(query, Arc::<Groups>::clone(&groups)).await?;
            let scanned = cpu()?;
            let evidence = Evidence { rows: &rows, agents: &[], presence: &presence, dropped: &[] };
            let report = answer(&groups, &evidence, question.to);
            scans.push(scanned - grouped);
            reports.push(cpu()? - begun);
            last = Some(report);
        }
        let report = last.context("nothing was asked")?;
        let ((scan, scan_least), (whole, whole_least)) =
            (milliseconds(&mut scans), milliseconds(&mut reports));
        print(what, scan, "ms CPU", target_ms);
        println!(
            "    {scan_least:.1} at least; with presence, coverage and percentiles of {} groups {whole:.1}, {whole_least:.1} at least",
            report.rows.len()
        );
        if let Some(truth) = truth {
            compare(&report, truth)?;
        }
        Ok(whole)
    }

    /// Asks how available all targets were, and prints the CPU time.
    async fn availability(&self, end: Timestamp) -> anyhow::Result<()> {
        let now = end.plus(Duration::from_mins(3));
        let (organisation, span) = (OrganisationId::DEFAULT, span(end));
        let asked =
            span.iter().map(|(name, value)| (*name, value.as_str())).chain([("metric", ASKED.name())]);
        let (asked, errors) = AvailabilityQuestion::read(asked, organisation, now);
        ensure!(errors.is_empty(), "{errors:?}");
        let begun = cpu()?;
        let presence = self.store.presence(organisation).await?;
        let ground = Ground {
            registrations: &self.registrations,
            agents: &[],
            presence: &presence,
            minutes_from: BEGIN,
        };
        let mut observing =
            Observing::new(asked, ground, Silences::default(), now).map_err(anyhow::Error::msg)?;
        let mut closer_looks = 0;
        for part in observing.parts() {
            let rows = self.store.scan(part.clone(), observing.units()).await?;
            let closer = observing.closer(&rows);
            let mut minutes = Vec::new();
            for (query, few) in closer.asks(&part, &observing) {
                closer_looks += 1;
                minutes.append(&mut self.store.scan(query, few).await?);
            }
            observing.take(rows, minutes, &closer);
        }
        let report = observing.finish(now);
        let outages: u64 = report.rows.iter().map(|row| row.outage_count).sum();
        print("availability of thirty days", (cpu()? - begun).as_secs_f64() * 1e3, "ms CPU", 1_000.0);
        println!("    {} rows, {outages} outages, {closer_looks} looks at minutes", report.rows.len());
        Ok(())
    }

    /// Asks how latency was by the hour, and prints the CPU time.
    async fn time_of_day(&self, end: Timestamp) -> anyhow::Result<()> {
        let (organisation, span) = (OrganisationId::DEFAULT, span(end));
        let asked =
            span.iter().map(|(name, value)| (*name, value.as_str())).chain([("metric", ASKED.name())]);
        let (asked, errors) = TimeOfDayQuestion::read(asked, organisation, end);
        ensure!(errors.is_empty(), "{errors:?}");
        let begun = cpu()?;
        let presence = self.store.presence(organisation).await?;
        let parts = asked.parts(&self.registrations);
        let mut gathering =
            Gathering::new(asked, self.registrations.clone(), &[], &presence, Silences::default());
        for part in parts {
            let (to, groups) = (part.to, gathering.groups());
            gathering.take(&self.store.scan(part, Arc::<Groups>::clone(&groups)).await?, to);
        }
        let report = gathering.finish(end);
        print("time of day of thirty days", (cpu()? - begun).as_secs_f64() * 1e3, "ms CPU", 1_000.0);
        println!("    {} rows", report.rows.len());
        Ok(())
    }
}

/// The whole of a workload, as the parameters of a question.
fn span(end: Timestamp) -> [(&'static str, String); 2] {
    [("from", BEGIN.as_secs().to_string()), ("to", end.as_secs().to_string())]
}

/// By provider, location and target.
fn question(from: Timestamp, to: Timestamp) -> Question {
    Question {
        from,
        to,
        last: None,
        by: vec![Dimension::Provider, Dimension::Location, Dimension::Target],
        metrics: BTreeSet::from([ASKED]),
        ..Question::new(OrganisationId::DEFAULT, to)
    }
}

/// Every group's counts and percentiles must be those of the truth.
fn compare(report: &Report, truth: &Truth) -> anyhow::Result<()> {
    if report.rows.len() != truth.len() {
        bail!("{} groups, but {} were generated", report.rows.len(), truth.len());
    }
    for row in &report.rows {
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let group = (name(&row.group.provider), name(&row.group.location), name(&row.group.target));
        let (scheduled, histogram) =
            truth.get(&group).with_context(|| format!("no such group: {group:?}"))?;
        let ms = |permille| histogram.percentile(permille).map(|us| us as f64 / 1e3);
        let latency = row.latency_ms;
        let same = (row.scheduled, row.answered) == (*scheduled, histogram.count())
            && [
                (latency.p50, 500),
                (latency.p90, 900),
                (latency.p95, 950),
                (latency.p99, 990),
                (latency.p99_9, 999),
            ]
            .into_iter()
            .all(|(shown, permille)| shown.is_none() || shown == ms(permille));
        if !same {
            bail!("{group:?} differs from what was generated: {row:?}");
        }
    }
    println!("    counts and percentiles of all {} groups equal the brute-force merge", truth.len());
    Ok(())
}
