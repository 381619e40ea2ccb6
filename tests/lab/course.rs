//! The course of `cargo lab`: start, measure, report, and end.

use crate::{
    answer::Answer,
    cli::{Arguments, Format},
    lab::{Lab, Settings, Subject},
    network::{Choice, Ground},
    progress::Progress,
    scenario::Scenario,
};
use anyhow::Context as _;
use peerlight_collector::{config::Config as CollectorConfig, registry::NewRules};
use peerlight_proto::time::Timestamp;
use std::{io::Write as _, ops::Range, path::Path, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// When the first report is printed while the lab runs until Ctrl-C.
const FIRST_REPORT: Duration = Duration::from_secs(20);
/// How often the moving line is told anew.
const TELL: Duration = Duration::from_millis(500);

/// Which network the arguments ask for. Microsoft itself is measured from where this machine is.
pub fn network_for(arguments: &Arguments) -> Choice {
    match subject(arguments) {
        Subject::Microsoft => Choice::Loopback,
        Subject::StandIn => Choice::Namespaces,
        Subject::EchoServers => arguments.network,
    }
}

const fn subject(arguments: &Arguments) -> Subject {
    match (arguments.microsoft, arguments.stand_in) {
        (false, _) => Subject::EchoServers,
        (true, false) => Subject::Microsoft,
        (true, true) => Subject::StandIn,
    }
}

/// Runs the lab as the arguments say.
pub async fn run(arguments: &Arguments, ground: &Ground, scenario: Scenario) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let progress = Progress::new();
    let subject = subject(arguments);
    progress.say(&introduction(subject, ground, &scenario));
    let settings = Settings {
        scenario,
        subject,
        interval: arguments.interval,
        dashboard_port: arguments.dashboard_port,
        collector: CollectorConfig::load(arguments.collector_config.as_deref())?,
        alert_rules: arguments.alert_rules.as_deref().map(read_rules).transpose()?,
    };
    let tell = |text: &str| progress.say(text);
    let mut lab = tokio::select! {
        lab = Lab::start(ground, settings, &tell) => lab?,
        () = stop.asked() => anyhow::bail!("stopped before the agents were up"),
    };
    progress.say(&format!(
        "dashboard: {}  (sign in with the token {})",
        lab.collector.dashboard, lab.collector.token
    ));
    let done = measure(arguments, &mut lab, &progress, &mut stop).await;
    progress.now("ending");
    let ended = tokio::select! {
        ended = lab.stop() => ended,
        () = stop.asked() => anyhow::bail!("stopped while ending"),
    };
    both(done, ended)
}

fn read_rules(path: &Path) -> anyhow::Result<NewRules> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} holds no rules", path.display()))
}

/// How the lab ended: what went wrong while it measured, and because of what.
fn both(done: anyhow::Result<()>, ended: anyhow::Result<()>) -> anyhow::Result<()> {
    match (done, ended) {
        (Err(done), Err(ended)) => Err(ended.context(format!("{done:#}"))),
        (done, ended) => done.and(ended),
    }
}

/// Measures, prints what came of it, and stays until it is time to end.
async fn measure(
    arguments: &Arguments,
    lab: &mut Lab,
    progress: &Progress,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let from = lab.next_interval();
    let length = arguments.interval.as_duration();
    let stays = arguments.duration.is_none();
    let wanted = arguments.duration.unwrap_or(FIRST_REPORT).max(length);
    // Whole intervals only: the report knows no halves.
    let intervals = u32::try_from(wanted.as_nanos().div_ceil(length.as_nanos())).unwrap_or(u32::MAX);
    let end = from.plus(length.saturating_mul(intervals));
    progress.say(&format!("measuring for {}", humantime::format_duration(length.saturating_mul(intervals))));
    let on_time = wait_until(end, lab, progress, stop).await?;
    let until = if on_time { end } else { lab.last_interval() };
    if until <= from {
        anyhow::bail!("stopped before the first interval was over");
    }
    if arguments.format == Format::Json && stays && on_time {
        // One document and nothing else: it is due when the lab ends.
        wait_until(Timestamp::from_micros(i64::MAX), lab, progress, stop).await?;
        return report(arguments, lab, from..lab.last_interval(), progress, stop).await;
    }
    report(arguments, lab, from..until, progress, stop).await?;
    if !on_time {
        return Ok(());
    }
    let dashboard = format!("the dashboard at {} stays until Ctrl-C", lab.collector.dashboard);
    if arguments.stay {
        progress.now("ending the agents");
        lab.stand_still().await?;
        progress.say(&dashboard);
        stop.asked().await;
    } else if stays {
        progress.say(&dashboard);
        wait_until(Timestamp::from_micros(i64::MAX), lab, progress, stop).await?;
    }
    Ok(())
}

/// Waits until `end`; false if asked to stop before, an error if an agent fails.
async fn wait_until(end: Timestamp, lab: &Lab, progress: &Progress, stop: &mut Stop) -> anyhow::Result<bool> {
    loop {
        let left = end.since(lab.now());
        if left.is_zero() {
            return Ok(true);
        }
        if lab.has_failed() {
            anyhow::bail!("an agent has ended");
        }
        let carried = lab.carried().map(|carried| format!(" · {carried}")).unwrap_or_default();
        let time = if left > Duration::from_hours(24 * 365) {
            "until Ctrl-C".to_owned()
        } else {
            format!("{} s left", left.as_secs())
        };
        progress.now(format!("measuring, {time}{carried}"));
        if tokio::time::timeout(left.min(TELL), stop.asked()).await.is_ok() {
            return Ok(false);
        }
    }
}

/// Prints the report of `span` once it is complete.
async fn report(
    arguments: &Arguments,
    lab: &Lab,
    span: Range<Timestamp>,
    progress: &Progress,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    progress.now("waiting for the last batches");
    let answer = tokio::select! {
        answer = lab.answer(span) => answer?,
        () = stop.asked() => anyhow::bail!("stopped before the report was complete"),
    };
    print(arguments, &answer, progress)
}

fn print(arguments: &Arguments, answer: &Answer, progress: &Progress) -> anyhow::Result<()> {
    let text = match arguments.format {
        Format::Table => answer.table()?,
        Format::Json => answer.document()?,
    };
    progress.quiet(|| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    })?;
    let totals = answer.totals()?;
    if totals.icmp_unsent > 0 {
        progress.say(&format!(
            "{} ICMP probes could not be sent: the sysctl net.ipv4.ping_group_range keeps this user from it",
            totals.icmp_unsent
        ));
    }
    if totals.reached == 0 {
        let names = if totals.dns_failed > 0 {
            format!("{} times a name did not resolve: is there a way to the Internet?", totals.dns_failed)
        } else {
            "see the report's counters".to_owned()
        };
        anyhow::bail!("not one probe reached its target; {names}");
    }
    Ok(())
}

fn introduction(subject: Subject, ground: &Ground, scenario: &Scenario) -> String {
    match (subject, ground) {
        (Subject::Microsoft, _) => {
            "one agent measures the Microsoft catalogue over this machine's uplink".to_owned()
        }
        (_, Ground::Namespaces) => {
            format!("{} sites in network namespaces, each behind an emulated path", scenario.sites.len())
        }
        (_, Ground::Loopback { reason }) => {
            format!("{} sites on 127.0.0.0/8; no emulated paths: {reason}", scenario.sites.len())
        }
    }
}

/// Ctrl-C, and what service managers send.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_ended_says_why() {
        let done = || Err(anyhow::anyhow!("an agent has ended"));
        let ended = || Err(anyhow::anyhow!("its key is damaged").context("the agent at london-1 ended"));
        let told = |outcome: anyhow::Result<()>| format!("{:#}", outcome.unwrap_err());
        let whole = "an agent has ended: the agent at london-1 ended: its key is damaged";
        assert_eq!(told(both(done(), ended())), whole);
        assert_eq!(told(both(done(), Ok(()))), "an agent has ended");
        assert_eq!(told(both(Ok(()), ended())), "the agent at london-1 ended: its key is damaged");
        assert!(both(Ok(()), Ok(())).is_ok());
    }
}
