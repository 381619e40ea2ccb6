//! The `doctor` command: looks at everything that an agent needs on this machine and on the way to its collector, and says of each
//! what to do. It changes nothing, and a running agent does not mind.

mod check;
mod collector;
mod machine;
mod network;

use crate::{
    config::{Config, ConfigError},
    format::Format,
};
use anyhow::Context as _;
use check::{Check, Outcome};
use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// What `--help` says of the result.
const MEANING: &str = "\
Each line is one of:
  ok      as it should be
  warning the agent works, but less well or less surely than it could
  FAILED  something does not work, with what to do about it

Exit code: 0 without a failed check, 1 with one.";

/// How to examine this machine.
#[derive(Debug, Clone, Copy, Args)]
#[command(after_long_help = MEANING)]
pub struct DoctorArgs {
    /// How to show the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// The whole result.
#[derive(Debug, Serialize)]
struct Examination {
    /// The gravest outcome.
    outcome: Outcome,
    checks: Vec<Check>,
}

/// Examines this machine and writes the result to stdout. The exit code tells whether anything failed.
pub async fn run(config: Result<Config, ConfigError>, args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let checks = examine(config).await;
    let outcome = checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::Ok);
    let examination = Examination { outcome, checks };
    match write(&mut io::stdout().lock(), args.format, &examination) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("cannot write the result")?,
    }
    Ok(if outcome == Outcome::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn examine(config: Result<Config, ConfigError>) -> Vec<Check> {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let advice = "correct the file, then look again: everything else depends on it";
            return vec![Check::failed("configuration", error.to_string(), advice)];
        }
    };
    let mut checks = vec![Check::ok("configuration", "read, and every check passed")];
    checks.push(machine::agent(&config.state).await);
    checks.push(machine::state(&config.state));
    checks.push(machine::disk(&config.state, config.spool.max_bytes));
    checks.extend(machine::sockets(&config));
    let proxies = match network::proxy(&config).await {
        Ok((proxies, check)) => {
            checks.push(check);
            proxies
        }
        Err(failed) => {
            checks.push(failed);
            return checks;
        }
    };
    checks.extend(network::names(&config).await);
    checks.push(network::authorities());
    checks.extend(collector::examine(&config, &proxies).await);
    checks.push(network::catalogue(&config).await);
    checks
}

fn write(out: &mut impl Write, format: Format, examination: &Examination) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(examination)?),
        Format::Table => writeln!(out, "{}", table(&examination.checks)),
    }
}

/// One line for each check, and one below it for what to do.
fn table(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for check in checks {
        table.add_row([check.outcome.to_string(), check.name.clone(), check.found.clone()]);
        if let Some(advice) = &check.advice {
            table.add_row([String::new(), "  do".to_owned(), advice.clone()]);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_what_to_do() {
        let checks = [
            Check::ok("disk", "44.0 GB free"),
            Check::warning("clock", "12.000 s behind", "set it"),
            Check::failed("collector", "nobody answers", "ask the firewall's owner"),
        ];
        insta::assert_snapshot!(table(&checks));
        assert!(Outcome::Ok < Outcome::Warning && Outcome::Warning < Outcome::Failed);
    }

    #[tokio::test]
    async fn a_wrong_configuration_is_the_first_thing_to_put_right() {
        let checks = examine(Config::parse("[probing]\ninterval = \"7s\"\n")).await;
        assert_eq!(checks.len(), 1);
        assert_eq!((checks[0].name.as_str(), checks[0].outcome), ("configuration", Outcome::Failed));
    }
}
