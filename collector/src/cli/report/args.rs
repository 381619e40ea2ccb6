//! What may be asked of reports on the command line.

use clap::{Args, Subcommand, ValueEnum};

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
    /// What Microsoft calls good: points for Exchange Online, thresholds for Teams; pass or fail for each site.
    Yardsticks(YardsticksArgs),
    /// Latency at one location by day, as JSON in the shape of Azure Network Watcher's azureReachabilityReport.
    AzureReachability(AzureReachabilityArgs),
    /// One HTML file with figures, charts, outages and front doors that can be mailed and printed; nothing in it is loaded or runs.
    Html(HtmlArgs),
}

/// The span of a report that looks back a month.
#[derive(Debug, Clone, Default, Args)]
pub struct Span {
    /// The span that ends now; 30d unless given.
    #[arg(long, value_name = "SPAN")]
    pub last: Option<String>,
    /// The first instant: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME", conflicts_with = "last")]
    pub from: Option<String>,
    /// The first instant after the span.
    #[arg(long, value_name = "TIME", requires = "from", conflicts_with = "last")]
    pub to: Option<String>,
}

/// What is asked of a report as one HTML file.
#[derive(Debug, Clone, Default, Args)]
pub struct HtmlArgs {
    /// A row for each of: provider, location, site, target, prefix, family; provider and location unless given.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub by: Vec<String>,
    /// When.
    #[command(flatten)]
    pub span: Span,
    /// Which time of a probe; tcp.connect unless given or not measured.
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<String>,
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
}

/// What is asked in Azure's shape.
#[derive(Debug, Clone, Args)]
pub struct AzureReachabilityArgs {
    /// The location, or a country's code for all in it.
    #[arg(long, value_name = "CODE")]
    pub location: String,
    /// When.
    #[command(flatten)]
    pub span: Span,
    /// Which time of a probe; tcp.connect unless given.
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<String>,
    /// Only these providers.
    #[arg(long, value_name = "NAME")]
    pub provider: Vec<String>,
    /// Only these targets.
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
}

/// What is asked about Microsoft's yardsticks.
#[derive(Debug, Clone, Default, Args)]
pub struct YardsticksArgs {
    /// A row for each of: provider, location, site, target, prefix, family; site, provider and location unless given, and target.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub by: Vec<String>,
    /// The span that ends now; 3d unless given, which is Microsoft's.
    #[arg(long, value_name = "SPAN")]
    pub last: Option<String>,
    /// Of what, and when.
    #[command(flatten)]
    pub selection: Selection,
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
    /// For whoever has many: the columns of CSV with types, a binary file. Redirect it.
    Parquet,
}
