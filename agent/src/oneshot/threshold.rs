//! Limits that a script sets: what is above one ends the command with an exit code of its own. Pure.

use super::{
    tally::{Row, Tally, is_primary, least_answers},
    targets::Subject,
};
use peerlight_proto::{duration, histogram::micros, metric::Metric};
use std::{fmt, str::FromStr, time::Duration};

/// What a limit is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Percentile(u32),
    Mean,
    Max,
    Jitter,
}

const FIGURES: [(&str, Figure); 8] = [
    ("p50", Figure::Percentile(500)),
    ("p90", Figure::Percentile(900)),
    ("p95", Figure::Percentile(950)),
    ("p99", Figure::Percentile(990)),
    ("p99.9", Figure::Percentile(999)),
    ("mean", Figure::Mean),
    ("max", Figure::Max),
    ("jitter", Figure::Jitter),
];

impl Figure {
    fn name(self) -> &'static str {
        FIGURES.iter().find(|(_, figure)| *figure == self).map_or("", |(name, _)| name)
    }
}

/// The most that may be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    Time(Figure, Duration),
    /// In percent.
    Loss(f64),
}

/// One limit: `p95=80ms`, `loss=1%`, `https.ttfb:p95=300ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Of this metric; of the whole probe if none is named.
    metric: Option<Metric>,
    bound: Bound,
}

/// A text that is no limit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// It has not the form.
    #[error("`{0}` is not a limit; write p95=80ms, loss=1% or https.ttfb:p95=300ms, with commas between")]
    Form(String),
    /// It names nothing that is measured.
    #[error("`{0}` cannot be limited; what can is p50, p90, p95, p99, p99.9, mean, max, jitter and loss")]
    Figure(String),
    /// It is of a metric that this command does not measure.
    #[error(
        "`{0}` is not a metric that probes have, such as https.ttfb or icmp.rtt; for jitter write icmp.rtt:jitter=5ms"
    )]
    Metric(String),
    /// The value is no time.
    #[error("`{0}` is not a time; write 80ms or 1s500ms")]
    Time(String),
    /// The value is no share.
    #[error("`{0}` is not a share from 0% to 100%; write 1% or 0.5%")]
    Share(String),
}

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (left, value) = text.split_once('=').ok_or_else(|| LimitError::Form(text.to_owned()))?;
        let (metric, figure) = match left.split_once(':') {
            Some((metric, figure)) => (Some(self::metric(metric.trim())?), figure.trim()),
            None => (None, left.trim()),
        };
        let value = value.trim();
        let bound = if figure == "loss" {
            let number = value.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
            let share = number.filter(|share| (0.0..=100.0).contains(share));
            Bound::Loss(share.ok_or_else(|| LimitError::Share(value.to_owned()))?)
        } else {
            let known = FIGURES.iter().find(|(name, _)| *name == figure);
            let (_, figure) = known.ok_or_else(|| LimitError::Figure(figure.to_owned()))?;
            let time =
                humantime::parse_duration(value).map_err(|_reason| LimitError::Time(value.to_owned()))?;
            Bound::Time(*figure, time)
        };
        Ok(Self { metric, bound })
    }
}

fn metric(name: &str) -> Result<Metric, LimitError> {
    let metric = name.parse::<Metric>().map_err(|_unknown| LimitError::Metric(name.to_owned()))?;
    match metric {
        Metric::Jitter(_) | Metric::AgentNoise => Err(LimitError::Metric(name.to_owned())),
        Metric::IcmpRtt
        | Metric::TcpConnect
        | Metric::HttpsDns
        | Metric::HttpsProxy
        | Metric::HttpsTcp
        | Metric::HttpsTls
        | Metric::HttpsTtfb
        | Metric::HttpsTransfer
        | Metric::HttpsLocal
        | Metric::HttpsTotal
        | Metric::DnsQuery
        | Metric::DnsLookup
        | Metric::UdpRtt => Ok(metric),
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(metric) = self.metric {
            write!(f, "{metric}:")?;
        }
        match self.bound {
            Bound::Time(figure, time) => write!(f, "{}={}", figure.name(), duration::text(time)),
            Bound::Loss(percent) => write!(f, "loss={percent}%"),
        }
    }
}

/// What a limit came to for one row.
enum Verdict {
    Within,
    Over(String),
    Undecided(String),
}

/// What all limits came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Whether any limit was passed.
    pub(super) over: bool,
    /// What is to be said of it, a line each.
    pub(super) lines: Vec<String>,
}

/// Holds the rows against the limits. What has too few answers is not over, but said.
pub(super) fn judge(limits: &[Limit], subjects: &[Subject], tally: &Tally) -> Judgement {
    let mut judgement = Judgement::default();
    for limit in limits {
        let mut judged = false;
        for (key, row) in tally.rows() {
            if !limit.metric.map_or_else(|| is_primary(key.metric), |metric| metric == key.metric) {
                continue;
            }
            judged = true;
            let whose = format!("{} {} {}", subjects[key.subject].text, key.family, key.metric);
            match limit.verdict(row) {
                Verdict::Within => {}
                Verdict::Over(what) => {
                    judgement.over = true;
                    judgement.lines.push(format!("over {limit}: {whose}: {what}"));
                }
                Verdict::Undecided(why) => {
                    judgement.lines.push(format!("undecided {limit}: {whose}: {why}"));
                }
            }
        }
        if !judged {
            judgement.lines.push(format!("undecided {limit}: nothing of the kind was measured"));
        }
    }
    judgement
}

impl Limit {
    fn verdict(&self, row: &Row) -> Verdict {
        match self.bound {
            Bound::Loss(most) => match row.loss_ratio() {
                None => Verdict::Undecided("no probe was answered or lost".to_owned()),
                Some(loss) if loss * 100.0 > most => Verdict::Over(format!("loss is {:.2}%", loss * 100.0)),
                Some(_) => Verdict::Within,
            },
            Bound::Time(figure, most) => verdict_of_time(figure, most, row),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "times of at most 60 s, in microseconds")]
fn verdict_of_time(figure: Figure, most: Duration, row: &Row) -> Verdict {
    let (value, needed) = match figure {
        Figure::Percentile(permille) => {
            (row.percentile(permille).map(|us| us as f64), least_answers(permille))
        }
        Figure::Mean => (row.histogram.mean_us(), 1),
        Figure::Max => (row.histogram.max_us().map(|us| us as f64), 1),
        Figure::Jitter => (row.jitter_us(), 2),
    };
    match value {
        None if figure == Figure::Jitter => {
            Verdict::Undecided("jitter needs two answers in a row".to_owned())
        }
        None => Verdict::Undecided(format!(
            "{} needs {needed} answers and had {}",
            figure.name(),
            row.counters.answered
        )),
        Some(us) if us > micros(most) as f64 => {
            Verdict::Over(format!("{} is {:.3} ms", figure.name(), us / 1e3))
        }
        Some(_) => Verdict::Within,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        oneshot::tally::tests::{answered, sample},
        sample::Outcome,
    };
    use peerlight_proto::measurement::Ending;
    use proptest::prelude::*;

    fn limits(texts: &[&str]) -> Vec<Limit> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn tally(answers: u32, lost: u32) -> Tally {
        let mut tally = Tally::default();
        for turn in 0..answers {
            tally.count(0, turn, &answered(20_000 + u64::from(turn % 2) * 1_000));
        }
        for turn in 0..lost {
            tally.count(0, answers + turn, &sample(Outcome::Failed(Ending::Lost)));
        }
        tally
    }

    fn lines(texts: &[&str], tally: &Tally) -> (bool, Vec<String>) {
        let Judgement { over, lines } = judge(&limits(texts), &Subject::read("icmp://h").unwrap(), tally);
        (over, lines)
    }

    #[test]
    fn what_is_above_its_limit_is_said_and_what_is_at_it_is_not() {
        let tally = tally(20, 1);
        assert_eq!(
            lines(&["max=21ms", "p95=21ms", "mean=20501us", "loss=5%", "jitter=1ms"], &tally),
            (false, vec![])
        );
        let (over, said) = lines(&["p50=20ms", "icmp.rtt:max=20ms", "loss=4.7%", "jitter=999us"], &tally);
        assert!(over);
        assert_eq!(
            said,
            [
                "over p50=20ms: icmp://h v4 icmp.rtt: p50 is 20.095 ms",
                "over icmp.rtt:max=20ms: icmp://h v4 icmp.rtt: max is 21.000 ms",
                "over loss=4.7%: icmp://h v4 icmp.rtt: loss is 4.76%",
                "over jitter=999us: icmp://h v4 icmp.rtt: jitter is 1.000 ms",
            ]
        );
    }

    #[test]
    fn what_has_too_few_answers_is_undecided_and_not_over() {
        let (over, said) = lines(&["p99=1ms", "https.ttfb:p50=1s"], &tally(20, 0));
        assert!(!over);
        assert_eq!(
            said,
            [
                "undecided p99=1ms: icmp://h v4 icmp.rtt: p99 needs 100 answers and had 20",
                "undecided https.ttfb:p50=1s: nothing of the kind was measured",
            ]
        );
        assert_eq!(lines(&["loss=0%", "mean=1s"], &tally(1, 0)), (false, vec![]));
    }

    #[test]
    fn what_is_no_limit_says_what_would_be() {
        for (text, why) in [
            ("p95", "`p95` is not a limit; write p95=80ms"),
            ("p80=1ms", "`p80` cannot be limited; what can is p50"),
            ("loss=1", "`1` is not a share"),
            ("loss=101%", "`101%` is not a share"),
            ("loss=NaN%", "`NaN%` is not a share"),
            ("p95=80", "`80` is not a time"),
            ("http.ttfb:p95=1s", "`http.ttfb` is not a metric"),
            ("icmp.rtt.jitter:mean=1s", "for jitter write icmp.rtt:jitter=5ms"),
        ] {
            let error = text.parse::<Limit>().unwrap_err().to_string();
            assert!(error.starts_with(why) || error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn limits_read_back_what_they_print(
            metric in prop::option::of(prop::sample::select(vec![Metric::IcmpRtt, Metric::HttpsTtfb, Metric::HttpsTotal])),
            figure in prop::sample::select(FIGURES.to_vec()),
            time in 0_u64..100_000_000,
            percent in prop::option::of(0.0..=100.0_f64),
        ) {
            let bound = percent.map_or(Bound::Time(figure.1, Duration::from_micros(time)), Bound::Loss);
            let limit = Limit { metric, bound };
            prop_assert_eq!(limit.to_string().parse::<Limit>(), Ok(limit));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[a-z0-9.:=% ,]{0,24}") {
            if let Ok(limit) = text.parse::<Limit>() {
                prop_assert_eq!(limit.to_string().parse::<Limit>(), Ok(limit));
            }
        }

        /// A higher limit is never passed where a lower one is kept.
        #[test]
        fn higher_limits_let_more_through(low in 0_u64..40_000, more in 0_u64..40_000) {
            let over = |us: u64| lines(&[format!("p50={us}us").as_str()], &tally(10, 0)).0;
            prop_assert!(over(low) || !over(low + more));
        }
    }
}
