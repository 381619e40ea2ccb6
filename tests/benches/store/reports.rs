//! Reports of a workload: what each takes, and whether it is right.

use crate::{
    Workload, after, cpu, milliseconds, print,
    workload::{ASKED, BEGIN, Truth},
};
use anyhow::{Context as _, bail};
use peerlight_collector::{
    organisation::OrganisationId,
    registry::Registrations,
    report::{Dimension, Evidence, Groups, Question, Report, answer},
    store::{Presence, SqliteStore, Store as _},
};
use peerlight_proto::time::Timestamp;
use std::{collections::BTreeSet, sync::Arc};

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
            let presence: Vec<Presence> = self.store.presence(question.organisation).await?;
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
        let ((scan, least_scan), (whole, least)) = (milliseconds(&mut scans), milliseconds(&mut reports));
        print(what, scan, "ms CPU", target_ms);
        println!(
            "    {least_scan:.1} at least; with presence, coverage and percentiles of {} groups {whole:.1}, {least:.1} at least",
            report.rows.len()
        );
        if let Some(truth) = truth {
            compare(&report, truth)?;
        }
        Ok(whole)
    }
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
