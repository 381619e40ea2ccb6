//! The command line: definitions only. Those of the registry's commands stand in `cli/registry.rs`, what the commands do
//! in one file for each group.

mod agent;
mod alert;
mod audit;
mod connect;
mod execute;
mod files;
mod import;
mod location;
mod operator;
mod output;
mod provider;
mod provider_link;
mod reattribution;
mod registration;
mod registry;
mod report;
mod status;
mod storage;
mod target;
mod target_sets;
mod token;

pub use alert::{AlertCommand, MaintenanceArgs, MaintenanceCommand, ReplayArgs, RulesCommand};
pub use connect::Defaults;
pub use execute::execute;
pub use files::{back_up, restore, verify};
pub use output::Output;
pub use report::{
    AvailabilityArgs, AzureReachabilityArgs, CompareArgs, EdgesArgs, HtmlArgs, LatencyQuestion,
    ReportCommand, ReportFormat, Selection, SeriesArgs, TimeOfDayArgs, YardsticksArgs,
};

pub use registry::{
    AgentCommand, AuditOptions, FleetOptions, ImportArgs, LocationArgs, LocationCommand, OperatorCommand,
    ProviderArgs, ProviderCommand, ProviderLinkCommand, ReattributeArgs, RegistrationArgs,
    RegistrationCommand, RegistrationListOptions, SessionCommand, TargetArgs, TargetCommand,
    TargetListOptions, TokenArgs, TokenCommand,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use url::Url;

/// Gathers what Peerlight's agents measure and answers per-provider latency reports.
#[derive(Debug, Parser)]
#[command(name = "peerlight-collector", version, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    /// The configuration file; /etc/peerlight/collector.toml, if it is there, unless given.
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// How the log is written, which goes to standard error; `PEERLIGHT_LOG` says how much of it: `debug`,
    /// `peerlight_collector=trace` …
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_enum,
        ignore_case = true,
        value_name = "FORMAT",
        env = "PEERLIGHT_LOG_FORMAT",
        hide_env_values = true,
        default_value_t
    )]
    pub log_format: LogFormat,
    #[command(flatten)]
    /// How the operators' API is reached.
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How the operators' API is reached. All but `run`, `check-config`, `backup`, `verify` and `restore` ask the running
/// collector.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Running collector")]
pub struct Connection {
    /// Its operators' listener; the configuration's unless given.
    #[arg(long, global = true, hide_short_help = true, value_name = "URL")]
    pub url: Option<Url>,
    /// A file that holds an operator token, `-` for standard input; else `PEERLIGHT_OPERATOR_TOKEN`, else the one that the
    /// collector keeps in its state directory.
    #[arg(long, global = true, hide_short_help = true, value_name = "PATH|-")]
    pub token_file: Option<PathBuf>,
    /// A PEM file of certificates to trust besides the system's, for an https URL.
    #[arg(long, global = true, hide_short_help = true, value_name = "PATH")]
    pub ca_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the collector until it is told to stop.
    Run,
    /// Check the configuration and say everything that is wrong with it.
    CheckConfig,
    /// Copy everything that the collector keeps, while it runs: store, registry and keys. Guard the copy as the original.
    Backup(BackupArgs),
    /// Check that the store is sound: its file, its ledger and its rollups. A collector may run meanwhile.
    Verify(VerifyArgs),
    /// Put a backup in the place of what the collector keeps, which must not run.
    Restore(RestoreArgs),
    /// Do something through the running collector.
    #[command(flatten)]
    Operate(Box<Operation>),
}

/// What the running collector is asked for.
#[derive(Debug, Subcommand)]
pub enum Operation {
    /// Show whether the collector works and what it holds.
    Status(ListOptions),
    /// Show what the disk is spent on, and what it will take.
    Storage(ListOptions),
    /// Answer a question about what was measured.
    #[command(subcommand)]
    Report(ReportCommand),
    /// Alerts: what is wrong, who is to blame, and who is told.
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Providers: the ISPs, exchanges and SDCIs that sites are connected through.
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Locations: the places, at the level of states, that sites are in.
    #[command(subcommand)]
    Location(LocationCommand),
    /// Registrations: what ties a site's prefixes to a provider and a location.
    #[command(subcommand)]
    Registration(RegistrationCommand),
    /// Agents that have enrolled.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Targets that agents are assigned.
    #[command(subcommand)]
    Target(TargetCommand),
    /// Enrolment tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Operator tokens: who may read and change the registry.
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// List the changes to the registry, the latest first.
    Audit(AuditOptions),
}

/// Where a backup goes.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// The directory to make.
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
    /// How the outcome is printed.
    #[command(flatten)]
    pub change: ChangeOptions,
}

/// What is verified.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// A backup; the collector's own directory unless given.
    #[arg(value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
    /// How the outcome is printed.
    #[command(flatten)]
    pub change: ChangeOptions,
}

/// Where a backup is.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// The backup.
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
    /// How the outcome is printed.
    #[command(flatten)]
    pub change: ChangeOptions,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ListOptions {
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How a change is printed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ChangeOptions {
    /// How it is printed: in words, or as its row of the list in JSON.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How a list is printed, and whether it shows what has ended.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct HistoryOptions {
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Show what has ended, too.
    #[arg(long)]
    pub all: bool,
}

#[cfg(test)]
mod tests;
