//! The collector: whether it is reached, believed, and believes this agent; and what its clock says of ours.

use super::{
    check::Check,
    network::{collector_of, timed},
};
use crate::{
    clock::Clock,
    config::Config,
    credential::{self, Enrolment},
    exchange::{Answer, Question, Source},
    link::Link,
    offset::Offset,
    proxy::Proxies,
    status::millis,
};
use peerlight_proto::{
    http::{PROBLEM_MEDIA_TYPE, WHOAMI_PATH},
    problem::Problem,
    time::Timestamp,
    whoami::WhoAmI,
};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpStream;

const NAME: &str = "collector";
/// Beyond it a clock is off (rules, §2): signatures are corrected by it, but the times of intervals are not.
const CLOCK_OFF: Duration = Duration::from_secs(1);
/// What to do about a clock.
const SET_THE_CLOCK: &str = "let the system keep time (`timedatectl set-ntp true`, `w32tm /resync`)";

/// Everything about the collector, as far as the agent knows one.
pub(super) async fn examine(config: &Config, proxies: &Proxies) -> Vec<Check> {
    match Enrolment::load(&config.state) {
        Ok(Some(enrolment)) => match ask(config, proxies, &enrolment).await {
            Ok(checks) => checks,
            Err(failed) => vec![failed],
        },
        Ok(None) => not_enrolled(config, proxies).await,
        Err(error) => vec![Check::failed(NAME, error.to_string(), "look as root, or as the agent's account")],
    }
}

/// Whether anybody answers where the collector should be.
async fn not_enrolled(config: &Config, proxies: &Proxies) -> Vec<Check> {
    let enrol = "enrol with a token of the collector's operator (`peerlight-agent enrol`); what is measured until then is kept";
    let mut checks = vec![Check::warning("enrolment", "there is none", enrol)];
    let Some(url) = collector_of(config) else { return checks };
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    if proxies.of(host, port).is_some() {
        return checks;
    }
    let (outcome, took) = timed(TcpStream::connect((host, port))).await;
    checks.push(match outcome {
        Ok(_connection) => Check::ok(NAME, format!("{url} took a connection within {} ms", took.as_millis())),
        Err(error) => Check::failed(NAME, format!("{url}: {error}"), UNREACHED),
    });
    checks
}

const UNREACHED: &str = "see whether the collector runs, whether the name and port are right, and whether a firewall holds this machine back";

async fn ask(config: &Config, proxies: &Proxies, enrolment: &Enrolment) -> Result<Vec<Check>, Check> {
    let damaged = |error: &dyn std::fmt::Display| {
        Check::failed(NAME, error.to_string(), "enrol again with a new token (`peerlight-agent enrol`)")
    };
    let key = credential::look(&config.state).map_err(|error| damaged(&error))?;
    let key =
        key.ok_or_else(|| damaged(&"there is an enrolment, but the agent's identity or its key is gone"))?;
    let link = Link {
        state: config.state.clone(),
        uplinks: config.uplink_names(),
        trust: config.collector.trust,
        proxies: proxies.clone(),
        key: Arc::new(key),
        clock: Clock::system(),
        offset: Offset::default(),
    };
    let exchange = link.open(enrolment, Source::System).map_err(|error| damaged(&error))?;
    let mut answer = exchange.ask(&Question::get(WHOAMI_PATH)).await;
    if let Ok(refused) = &answer
        && let Some(collector) = refused.skewed_by()
    {
        exchange.learn_time(collector, refused.window);
        answer = exchange.ask(&Question::get(WHOAMI_PATH)).await;
    }
    let answer = answer.map_err(|error| {
        let advice = if error.is_distrust() {
            "something else than the collector answers with a certificate of its own: where TLS is inspected, set [collector] trust \
             = \"platform\" and enrol again"
        } else {
            UNREACHED
        };
        Check::failed(NAME, format!("{}: {error}", enrolment.collector), advice)
    })?;
    let mut checks = vec![judge(&enrolment.collector, &answer)];
    if let Ok(seen) = serde_json::from_slice::<WhoAmI>(&answer.body)
        && answer.signed.is_ok()
    {
        exchange.learn_time(Timestamp::from_micros(seen.collector_time_us), answer.window);
    }
    checks.push(clock(link.offset.micros(), link.offset.uncertainty_micros()));
    Ok(checks)
}

/// What the answer says of whoever gave it.
fn judge(collector: &str, answer: &Answer) -> Check {
    if let Err(error) = &answer.signed {
        return Check::failed(
            NAME,
            format!("{collector}: status {} is not signed by the collector ({error})", answer.status),
            "a proxy or a captive portal answers in its place, or the collector knows this agent no more: see the browser on this \
             network, then enrol again",
        );
    }
    if answer.status == 200 {
        return Check::ok(NAME, format!("{collector} answers, is believed, and believes this agent"));
    }
    let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
    let reason =
        problem.filter(|_| answer.media_type() == PROBLEM_MEDIA_TYPE).map(|problem| problem.to_string());
    Check::failed(
        NAME,
        format!("{collector} refuses: {}", reason.unwrap_or_else(|| format!("status {}", answer.status))),
        "ask its operator (`peerlight-collector agent list`); what was measured is kept",
    )
}

/// How far this machine's clock is from the collector's. Pure.
fn clock(offset_us: Option<i64>, uncertainty_us: Option<i64>) -> Check {
    const CLOCK: &str = "clock";
    let Some((offset, uncertainty)) = offset_us.zip(uncertainty_us) else {
        return Check::warning(CLOCK, "could not be compared with the collector's", SET_THE_CLOCK);
    };
    let found =
        format!("the collector's is {} ms ahead, give or take {} ms", millis(offset), millis(uncertainty));
    if offset.unsigned_abs() > u64::try_from(CLOCK_OFF.as_micros()).unwrap_or(u64::MAX) {
        Check::warning(CLOCK, found, SET_THE_CLOCK)
    } else {
        Check::ok(CLOCK, found)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Outcome, *};

    #[test]
    fn a_clock_that_is_off_by_more_than_a_second_wants_setting() {
        assert_eq!(clock(Some(900_000), Some(2_000)).outcome, Outcome::Ok);
        let off = clock(Some(-3_600_000_000), Some(2_500));
        assert_eq!(off.outcome, Outcome::Warning);
        assert_eq!(off.found, "the collector's is -3600000.000 ms ahead, give or take 2.500 ms");
        assert_eq!(clock(None, None).outcome, Outcome::Warning);
    }
}
