//! The definitions of `alert` and what is below it.

use crate::cli::{ChangeOptions, Format, HistoryOptions, ListOptions};
use clap::{Args, Subcommand};
use std::{path::PathBuf, time::Duration};

/// Alerts.
#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    /// List the alerts that are not over, the latest first.
    List(HistoryOptions),
    /// Show an alert: who is to blame, the numbers that say so, and who was told.
    Show {
        /// Its number.
        alert: u64,
        /// How it is printed.
        #[command(flatten)]
        options: ListOptions,
    },
    /// Note that you look after an alert. Receivers still hear when it widens and when it is over.
    Acknowledge {
        /// Its number.
        alert: u64,
        /// What you say to it.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        note: String,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Keep receivers from hearing of an alert for a while, but that it is over.
    Silence {
        /// Its number.
        alert: u64,
        /// For how long: 30m, 2h …; 0s ends the silence.
        #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
        span: Duration,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Rules: what is looked for.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Maintenance windows: where trouble is expected, so that nobody is told of it.
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
    /// Run rules over what is stored and list what they would have told. Nothing is changed, and nobody is told.
    Replay(ReplayArgs),
}

/// Rules.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List the rules in force.
    List(ListOptions),
    /// Print the rules in force as a file that `apply` and `replay` take.
    Export,
    /// Put the rules of a file in the place of those in force. `alert replay --rules` tells first what they would have told.
    Apply {
        /// A TOML file with a `[[rule]]` for each.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// Maintenance windows.
#[derive(Debug, Subcommand)]
pub enum MaintenanceCommand {
    /// List the windows that are not over.
    List(HistoryOptions),
    /// Add a window. It holds for everything that fits each option that is given.
    Add(MaintenanceArgs),
    /// End a window now.
    End {
        /// Its number.
        window: i64,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// A maintenance window to add.
#[derive(Debug, Clone, Args)]
pub struct MaintenanceArgs {
    /// What for.
    pub reason: String,
    /// The first instant, RFC 3339; now unless given.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// The first instant after it.
    #[arg(long, value_name = "TIME", required_unless_present = "span", conflicts_with = "span")]
    pub to: Option<String>,
    /// How long it lasts, in the place of its end.
    #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub span: Option<Duration>,
    /// Only these providers.
    #[arg(long, value_name = "NAME")]
    pub provider: Vec<String>,
    /// Only these locations; a country's code means every location in it.
    #[arg(long, value_name = "CODE")]
    pub location: Vec<String>,
    /// Only these sites.
    #[arg(long, value_name = "NAME")]
    pub site: Vec<String>,
    /// Only these targets.
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
    /// How it is printed.
    #[command(flatten)]
    pub options: ChangeOptions,
}

/// What is replayed.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The span that ends now: 1d, 30d …
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    pub last: String,
    /// A file of rules; those in force unless given.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
