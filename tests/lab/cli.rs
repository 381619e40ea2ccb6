//! The lab's command line: definitions only.

use crate::network::Choice;
use clap::{Parser, ValueEnum};
use peerlight_proto::time::IntervalLength;
use std::{path::PathBuf, time::Duration};

/// Runs all of Peerlight on this machine: a collector, echo servers that stand for Microsoft's endpoints, and an agent
/// at each of six sites, whose paths are emulated where the machine allows it.
///
/// Prints the per-provider report with the truth beside it, says where the dashboard is, and runs until Ctrl-C.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version)]
pub struct Arguments {
    /// Measure for this long and end; without it, run until Ctrl-C.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,

    /// Once --duration is over the agents end, and the dashboard stays until Ctrl-C, as it is after the run's quarter hour.
    #[arg(long, requires = "duration")]
    pub stay: bool,

    /// How to print the report; json prints one document and nothing else on standard output.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Probe the built-in Microsoft catalogue over this machine's own uplink instead of the echo servers.
    #[arg(long, conflicts_with = "scenario")]
    pub microsoft: bool,

    /// Which network the sites live on.
    #[arg(long, value_enum, default_value_t)]
    pub network: Choice,

    /// How long the agents' measurement intervals are; must divide 15 minutes.
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "2s")]
    pub interval: IntervalLength,

    /// The port of the dashboard on 127.0.0.1; 8080 if that is free, else any.
    #[arg(long, value_name = "PORT")]
    pub dashboard_port: Option<u16>,

    /// The sites, paths and targets, as tests/scenarios/*.toml describe them.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,

    /// The collector's configuration, of which the lab takes all but listeners and directory.
    #[arg(long, hide = true, value_name = "FILE")]
    pub collector_config: Option<PathBuf>,

    /// The alert rules that hold, as `peerlight-collector alert rules apply` takes them.
    #[arg(long, hide = true, value_name = "FILE")]
    pub alert_rules: Option<PathBuf>,

    /// With --microsoft: DNS and TLS servers of the lab bear the catalogue's names, and six sites probe those.
    #[arg(long, hide = true, requires = "microsoft")]
    pub stand_in: bool,
}

/// How the report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// One JSON document: {"report": …, "truth": […]}.
    Json,
}

fn interval(text: &str) -> Result<IntervalLength, String> {
    let length = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let seconds = u32::try_from(length.as_secs()).ok().filter(|_| length.subsec_nanos() == 0);
    let seconds = seconds.ok_or("an interval is a whole number of seconds")?;
    IntervalLength::from_secs(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_help_says_what_there_is() {
        Arguments::command().debug_assert();
        insta::assert_snapshot!(Arguments::command().term_width(100).render_long_help());
    }

    #[test]
    fn an_interval_that_crosses_rollups_is_refused_with_the_choices() {
        let error = Arguments::try_parse_from(["lab", "--interval", "7s"]).unwrap_err().to_string();
        assert!(error.contains("choose 1, 2, 5, 10"), "{error}");
    }
}
