//! The command line.

use crate::{
    decommission::DecommissionArgs, doctor::DoctorArgs, format::Format, oneshot::ProbeArgs, paths,
    selftest::SelftestArgs, service::ServiceArgs, trace::PathArgs,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// Measures latency, jitter and loss from this site to Microsoft's cloud.
///
/// The agent probes its targets, keeps histograms through outages, and pushes them to a collector. A site is set up in
/// three steps: write the configuration and check it with `check-config`; `enrol` with the token that the collector's
/// operator handed out; `run`. The agent may run before it is enrolled: what it measures is kept and delivered later.
#[derive(Debug, Parser)]
#[command(name = "peerlight-agent", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "PATH", help = paths::CONFIG_HELP)]
    pub config: Option<PathBuf>,
    /// The state directory, instead of the configuration's
    #[arg(long, global = true, value_name = "PATH")]
    pub state_dir: Option<PathBuf>,
    /// How the log is written, which goes to standard error; `PEERLIGHT_LOG` says how much of it: `debug`,
    /// `peerlight_agent=trace` …
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        env = "PEERLIGHT_LOG_FORMAT",
        hide_env_values = true,
        ignore_case = true
    )]
    pub log_format: LogFormat,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Whether the command has the whole terminal to itself.
    pub const fn fills_terminal(&self) -> bool {
        matches!(self.command, Command::Probe(ProbeArgs { watch: true, .. }))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure and push until SIGTERM or Ctrl-C
    ///
    /// At the end the open interval is kept on disk. A wrong configuration ends this with exit code 78 before any
    /// socket is opened.
    Run,
    /// Exchange an enrolment token for a place in the collector's registry
    ///
    /// The token never stands in an argument: give it in a file, on standard input (`--token-file -`), or in the
    /// environment variable `PEERLIGHT_TOKEN`. Enrolling again with the same token changes nothing.
    Enrol(EnrolArgs),
    /// Probe a few targets now, without any configuration
    Probe(ProbeArgs),
    /// Show which routers stand between this machine and a target, now and without any configuration
    Path(PathArgs),
    /// Measure how far off this machine's own times are, and say whether they will do
    ///
    /// The agent's own engines probe reflectors within this process over loopback, where a packet is back at once. Needs no
    /// configuration, and no privilege beyond what probing needs.
    Selftest(SelftestArgs),
    /// Check the configuration and say what it will do
    CheckConfig(CheckConfigArgs),
    /// Say what is measured where nothing is configured, and what is known of Microsoft's addresses
    Catalogue(CatalogueArgs),
    /// Look at everything that an agent needs on this machine and on the way to its collector, and say what to do
    ///
    /// Name resolution, sockets and privileges, proxy, TLS trust, the collector, Microsoft's endpoints, clock and disk. Changes
    /// nothing, and a running agent does not mind.
    Doctor(DoctorArgs),
    /// Say what the running agent is doing, what it handed over last, and why not if it does not
    ///
    /// The agent itself is asked, over a socket in its state directory (on Windows a pipe) that is open to its own account and to root
    /// or administrators. Exit code: 0 if it answers, else 1.
    Status(StatusArgs),
    /// Send acknowledged batches again, for a collector that lost them
    ///
    /// Batches are kept for 24 hours after their acknowledgement, in up to half of the spool's bound. The collector counts
    /// each only once, so sending too many does no harm.
    Resend(ResendArgs),
    /// Tell the collector that this agent will never come back, and remove what made it itself
    ///
    /// For a machine that is given away, and before the agent is uninstalled. The agent must be stopped. Its identity, its keys, its
    /// enrolment and its spool are removed; what it measured stays with the collector.
    Decommission(DecommissionArgs),
    /// Run the agent as a service of this machine
    Service(ServiceArgs),
}

/// How to enrol.
#[derive(Debug, Args)]
pub struct EnrolArgs {
    /// The collector, https://HOST:PORT; must be the one that the token names
    #[arg(long, value_name = "URL")]
    pub collector: Option<String>,
    /// The file with the token; - is standard input
    #[arg(long, value_name = "PATH|-")]
    pub token_file: Option<PathBuf>,
    /// Bring a new key, in the place of one that is lost or has expired; the token must be for this very agent
    #[arg(long)]
    pub new_key: bool,
    /// Which uplink of the configuration to enrol, if it has any; each needs a token of its own site
    #[arg(long, value_name = "NAME")]
    pub uplink: Option<String>,
}

/// How to show what a configuration does.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What to do with the catalogue.
#[derive(Debug, Args)]
pub struct CatalogueArgs {
    /// Say it if nothing else is asked for
    #[command(subcommand)]
    pub command: Option<CatalogueCommand>,
}

/// What to do with the catalogue.
#[derive(Debug, Subcommand)]
pub enum CatalogueCommand {
    /// Take Microsoft's published address ranges anew
    ///
    /// They come from <https://endpoints.office.com> unless told otherwise, and serve from the agent's next start. Where a name
    /// leads outside of them, its probes are flagged as intercepted; they are measured all the same.
    Update(UpdateArgs),
}

/// From where to take the published ranges.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// A file with the answer of <https://endpoints.office.com/endpoints/worldwide>
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub file: Option<PathBuf>,
    /// Another address that answers the same
    #[arg(long, value_name = "URL")]
    pub url: Option<url::Url>,
}

/// How to show the status.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What to send again.
#[derive(Debug, Args)]
pub struct ResendArgs {
    /// Batches that were acknowledged within this time
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub since: Duration,
}

/// How to write the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    /// The help as it is on Linux: other systems have other default paths.
    fn on_linux(help: &str) -> String {
        help.replace(paths::CONFIG_HELP, "The configuration file [default: /etc/peerlight/agent.toml]")
    }

    #[test]
    fn help_is_worth_reading() {
        let mut cli = Cli::command().term_width(100);
        cli.build();
        insta::assert_snapshot!("help", on_linux(&cli.render_long_help().to_string()));
        for name in [
            "run",
            "enrol",
            "check-config",
            "catalogue",
            "status",
            "resend",
            "service",
            "selftest",
            "path",
            "probe",
            "doctor",
            "decommission",
        ] {
            let command = cli.find_subcommand_mut(name).unwrap();
            insta::assert_snapshot!(
                format!("help-{name}"),
                on_linux(&command.render_long_help().to_string())
            );
        }
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
