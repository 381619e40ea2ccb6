//! The service manager: it is told that the collector serves, how it is, that it still works, and that it ends. Where there
//! is none, nobody is told.

#[cfg(unix)]
mod systemd;
#[cfg(not(unix))]
mod unmanaged;

#[cfg(unix)]
use systemd as manager;
#[cfg(not(unix))]
use unmanaged as manager;

use crate::{app::App, organisation::OrganisationId, store::watch::Seen};
use peerlight_proto::time::Timestamp;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the manager is told how the collector is.
const TELL_EVERY: Duration = Duration::from_secs(15);

/// What the manager is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News<'a> {
    /// The collector serves; how it is.
    Started(&'a str),
    /// It still works; how it is.
    Works(&'a str),
    /// It is about to end.
    Stops,
}

/// Whether the manager's journal is what reads standard error.
pub(crate) fn journal_reads_standard_error() -> bool {
    manager::journal_reads_standard_error()
}

/// Tells the manager how the collector is, until `shutdown`.
pub(crate) async fn keep_informed(app: &App, shutdown: CancellationToken) {
    if manager::listens() {
        // Half of what it waits for, so that one late word is no death.
        let period = manager::watchdog().map_or(TELL_EVERY, |watchdog| TELL_EVERY.min(watchdog / 2));
        tell_every(period, || headline(app), manager::tell, shutdown).await;
    }
}

/// Tells what `headline` answers. As long as it does not answer, nothing is told: that is how a watchdog notices.
async fn tell_every<H: Future<Output = String>>(
    period: Duration,
    mut headline: impl FnMut() -> H,
    mut tell: impl FnMut(News<'_>),
    shutdown: CancellationToken,
) {
    let mut turns = tokio::time::interval(period);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut started = false;
    loop {
        let answer = async {
            turns.tick().await;
            headline().await
        };
        let Some(line) = shutdown.run_until_cancelled(answer).await else { break };
        tell(if started { News::Works(&line) } else { News::Started(&line) });
        started = true;
    }
    tell(News::Stops);
}

/// How the collector is, in a line, once store and registry have answered. That they answer counts and not what: a disk
/// that is full or fails gets no better by a new start.
async fn headline(app: &App) -> String {
    let _answered = app.store.newest().await;
    let count =
        |registry: &crate::registry::Registry, _now| registry.count_agents(OrganisationId::DEFAULT, false);
    let enrolled = app.blocking(count).await.ok().and_then(Result::ok);
    let now = app.clock.now();
    in_a_line(&app.store.watch().seen(), enrolled, app.registry.agents_seen_lately(now), now)
}

fn in_a_line(seen: &Seen, enrolled: Option<usize>, seen_lately: u64, now: Timestamp) -> String {
    let agents = enrolled.map_or_else(
        || "the registry cannot be read".to_owned(),
        |enrolled| format!("{enrolled} agents are enrolled, {seen_lately} were heard of lately"),
    );
    let newest = seen
        .newest_end
        .map(|newest| format!("the newest interval ended {} s ago", now.since(newest).as_secs()));
    let failing =
        seen.failing.as_ref().map(|failing| format!("batches cannot be written: {}", failing.error));
    [failing, Some(agents), newest].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::watch::Failing;
    use std::cell::{Cell, RefCell};

    #[test]
    fn the_line_says_what_is_wrong_first() {
        let at = Timestamp::from_secs;
        let well = Seen { newest_end: Some(at(1_000)), ..Seen::default() };
        assert_eq!(
            in_a_line(&well, Some(14), 12, at(1_034)),
            "14 agents are enrolled, 12 were heard of lately; the newest interval ended 34 s ago"
        );
        let failing = Some(Failing { since: at(900), error: "the disk is full".to_owned() });
        assert_eq!(
            in_a_line(&Seen { failing, ..Seen::default() }, None, 0, at(1_034)),
            "batches cannot be written: the disk is full; the registry cannot be read"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_does_not_answer_tells_nothing_and_still_ends() {
        const PERIOD: Duration = Duration::from_secs(10);
        let (told, answers, shutdown) = (RefCell::new(Vec::new()), Cell::new(0), CancellationToken::new());
        let headline = || async {
            answers.set(answers.get() + 1);
            // The fourth question is never answered.
            if answers.get() > 3 {
                std::future::pending::<()>().await;
            }
            answers.get().to_string()
        };
        let tell = |news: News<'_>| told.borrow_mut().push(format!("{news:?}"));
        let telling = tell_every(PERIOD, headline, tell, shutdown.clone());
        let ending = async {
            tokio::time::sleep(PERIOD * 100).await;
            assert_eq!(*told.borrow(), [r#"Started("1")"#, r#"Works("2")"#, r#"Works("3")"#]);
            shutdown.cancel();
        };
        tokio::join!(telling, ending);
        assert_eq!(told.borrow().last().map(String::as_str), Some("Stops"));
    }
}
