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

pub use registry::{
    AgentCommand, AuditOptions, FleetOptions, ImportArgs, LocationArgs, LocationCommand, OperatorCommand,
    ProviderArgs, ProviderCommand, ReattributeArgs, RegistrationArgs, RegistrationCommand,
    RegistrationListOptions, TargetArgs, TargetCommand, TargetListOptions, TokenArgs, TokenCommand,
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

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
    /// For programs, a row a line.
    Ndjson,
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

/// Reports.
#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Latency and loss, by provider and more.
    Latency(LatencyQuestion),
    /// One provider against another, where both measured the same: better, worse, no difference, or insufficient data.
    Compare(CompareArgs),
    /// How much of the time targets answered, and the outages; what agents did not measure is told apart.
    Availability(AvailabilityArgs),
    /// Latency and loss by the hour that clocks show at the location, and how much slower the busy hour is than the quiet one.
    TimeOfDay(TimeOfDayArgs),
    /// How long probes took, slot by slot: percentiles, loss, and the distribution as far as histograms tell times apart.
    Series(SeriesArgs),
    /// Which of Microsoft's front doors served HTTPS requests, over time, and whether it is the nearest that is known.
    Edges(EdgesArgs),
    /// Connects beside the least that light in fibre takes to the front door that served: stretch, detours, and what is impossible.
    Physics(EdgesArgs),
}

/// What is asked about front doors.
#[derive(Debug, Clone, Default, Args)]
pub struct EdgesArgs {
    /// A row for each of: provider, location, site, target, prefix, family; provider, location and target unless given.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub by: Vec<String>,
    /// The span that ends now; 24h unless given.
    #[arg(long, value_name = "SPAN")]
    pub last: Option<String>,
    /// The length of a slot: whole minutes that divide a day; unless given the shortest that makes at most 180 of the span.
    #[arg(long, value_name = "LENGTH")]
    pub step: Option<String>,
    /// Of what, and when.
    #[command(flatten)]
    pub selection: Selection,
}

/// What is asked about series.
#[derive(Debug, Clone, Default, Args)]
pub struct SeriesArgs {
    /// A series for each of: provider, location, site, target, prefix, family; provider unless given.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub by: Vec<String>,
    /// The span that ends now; 1h unless given.
    #[arg(long, value_name = "SPAN")]
    pub last: Option<String>,
    /// The length of a slot: whole minutes that divide a day; unless given the shortest that makes at most 180 of the span.
    #[arg(long, value_name = "LENGTH")]
    pub step: Option<String>,
    /// Only these metrics; tcp.connect unless given.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub metric: Vec<String>,
    /// Of what, and when.
    #[command(flatten)]
    pub selection: Selection,
}

/// Of what, and when.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// The first instant: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME", conflicts_with = "last")]
    pub from: Option<String>,
    /// The first instant after the span.
    #[arg(long, value_name = "TIME", requires = "from", conflicts_with = "last")]
    pub to: Option<String>,
    /// Only these providers.
    #[arg(long, value_name = "NAME")]
    pub provider: Vec<String>,
    /// Only these locations.
    #[arg(long, value_name = "CODE")]
    pub location: Vec<String>,
    /// Only these sites.
    #[arg(long, value_name = "NAME")]
    pub site: Vec<String>,
    /// Only these targets.
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// What is asked about availability.
#[derive(Debug, Clone, Default, Args)]
pub struct AvailabilityArgs {
    /// One row for each of: provider, location, site, target, family; provider,location,target,family unless given.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub by: Vec<String>,
    /// The span that ends now; 24h unless given.
    #[arg(long, value_name = "SPAN")]
    pub last: Option<String>,
    /// Only these metrics; icmp.rtt,tcp.connect unless given.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub metric: Vec<String>,
    /// Of what, and when.
    #[command(flatten)]
    pub selection: Selection,
}

/// What is asked about the time of day.
#[derive(Debug, Clone, Default, Args)]
pub struct TimeOfDayArgs {
    /// One row for each of: provider, site, target, prefix, family; and location, always. Provider unless given.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub by: Vec<String>,
    /// The span that ends now, at least 12 days for a difference; 28d unless given.
    #[arg(long, value_name = "SPAN")]
    pub last: Option<String>,
    /// Only these metrics; tcp.connect unless given.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub metric: Vec<String>,
    /// Which days count, by the date and the weekend at the location: all (unless given), weekdays, weekends, or apart for a
    /// row of each.
    #[arg(long, value_name = "DAYS")]
    pub days: Option<String>,
    /// Of what, and when.
    #[command(flatten)]
    pub selection: Selection,
}

/// What is compared.
#[derive(Debug, Clone, Default, Args)]
pub struct CompareArgs {
    /// The provider that the verdict is about and the one that it is compared with; given twice where a name has a comma.
    #[arg(long, value_name = "A,B", required = true)]
    pub providers: Vec<String>,
    /// The span that ends now, at least 6 days for a verdict; 7d unless given.
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["from", "to"])]
    pub last: Option<String>,
    /// The first instant: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// The first instant after the span.
    #[arg(long, value_name = "TIME", requires = "from")]
    pub to: Option<String>,
    /// Compare by these metrics, each for itself: icmp.rtt, https.ttfb …; tcp.connect unless given.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub metric: Vec<String>,
    /// Only these locations.
    #[arg(long, value_name = "CODE")]
    pub location: Vec<String>,
    /// Only these targets.
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
    /// From which difference on one is better: milliseconds, percent of the faster one's median, or the lesser of both;
    /// 5ms,10% unless given.
    #[arg(long, value_name = "5ms,10%")]
    pub threshold: Option<String>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// What is asked about latency.
#[derive(Debug, Clone, Default, Args)]
pub struct LatencyQuestion {
    /// One row for each of: provider, location, site, target, prefix, family.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "provider")]
    pub by: Vec<String>,
    /// The span that ends now: 15m, 1h, 7d …
    #[arg(long, value_name = "SPAN")]
    pub last: Option<String>,
    /// Only these metrics: tcp.connect, icmp.rtt, https.ttfb …
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub metric: Vec<String>,
    /// Every figure in the table, however wide it gets; JSON and CSV always hold them all.
    #[arg(long)]
    pub wide: bool,
    /// Of what, and when.
    #[command(flatten)]
    pub selection: Selection,
}

#[cfg(test)]
mod tests;
