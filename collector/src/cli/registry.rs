//! The definitions of the commands that manage the registry.

mod targets;

pub use targets::{TargetArgs, TargetCommand, TargetListOptions};

use super::{ChangeOptions, Format, HistoryOptions, ListOptions};
use crate::registry::{ProviderKind, Role};
use clap::{Args, Subcommand};
use std::{path::PathBuf, time::Duration};

/// Providers.
#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// Add a provider.
    Add(ProviderArgs),
    /// List the providers.
    List(HistoryOptions),
    /// End a provider that no valid registration names. Reports keep its name.
    End {
        /// Its name, alias or number.
        provider: String,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// List Microsoft's published partners, with the date of each list.
    Directory(ListOptions),
    /// Links that show one provider's own numbers alone.
    #[command(subcommand)]
    Link(ProviderLinkCommand),
}

/// Links that show one provider's own numbers alone, to whoever holds them, until they expire or are revoked.
#[derive(Debug, Subcommand)]
pub enum ProviderLinkCommand {
    /// Create a link and print it. It is shown this once.
    Create {
        /// The provider, by its name or another one that it has.
        provider: String,
        /// Whom it is for.
        #[arg(long = "for", value_name = "NOTE", default_value = "")]
        note: String,
        /// How long it holds.
        #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = humantime::parse_duration)]
        life: Duration,
        /// How it is printed: the link alone on standard output, or a JSON document.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List the links that hold, without their secrets.
    List(HistoryOptions),
    /// Revoke a link: whoever came in by it is out with the next request.
    Revoke {
        /// Its number.
        link: i64,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// A provider to add.
#[derive(Debug, Clone, Args)]
pub struct ProviderArgs {
    /// Its name.
    #[arg(required_unless_present = "from_directory", conflicts_with = "from_directory")]
    pub name: Option<String>,
    /// What it is: ISP, IXP or SDCI.
    #[arg(long, value_name = "KIND", default_value_t = ProviderKind::Isp)]
    pub kind: ProviderKind,
    /// A country where it operates, as ISO 3166-1 alpha-2; may be given several times.
    #[arg(long, value_name = "CODE")]
    pub country: Vec<String>,
    /// Another name that means it; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub alias: Vec<String>,
    /// One of its autonomous systems; may be given several times.
    #[arg(long, value_name = "NUMBER")]
    pub asn: Vec<u32>,
    /// Add this entry of the directory (see `provider directory`) instead.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["kind", "country", "alias", "asn"])]
    pub from_directory: Option<String>,
    /// How the change is printed.
    #[command(flatten)]
    pub options: ChangeOptions,
}

/// Locations.
#[derive(Debug, Subcommand)]
pub enum LocationCommand {
    /// Add a location.
    Add(LocationArgs),
    /// List the locations.
    List(HistoryOptions),
    /// End a location that no valid registration names.
    End {
        /// Its ISO 3166-2 code.
        location: String,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// A location to add.
#[derive(Debug, Clone, Args)]
pub struct LocationArgs {
    /// Its ISO 3166-2 code, such as GB-LND.
    pub code: String,
    /// What people call it; the standard's name unless given.
    #[arg(long)]
    pub name: Option<String>,
    /// Its IANA time zone; may be left out where the code decides it.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Degrees north.
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub latitude: Option<f64>,
    /// Degrees east.
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub longitude: Option<f64>,
    /// How the change is printed.
    #[command(flatten)]
    pub options: ChangeOptions,
}

/// Registrations.
#[derive(Debug, Subcommand)]
pub enum RegistrationCommand {
    /// Register a site.
    Add(RegistrationArgs),
    /// Make every check of `add` and register nothing.
    Check(RegistrationArgs),
    /// Register the sites of a CSV file: all of them, or none if anything is wrong. What is registered already stays.
    Import(ImportArgs),
    /// List the registrations.
    List(RegistrationListOptions),
    /// End a registration.
    End {
        /// Its site's name or its number.
        registration: String,
        /// The first instant after it, RFC 3339 or a date; now unless given.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Give what was measured in a span to another registration. The audit keeps who did it and why.
    Reattribute(ReattributeArgs),
    /// List what was given to another registration, and how far that is.
    Reattributions(ListOptions),
}

/// Measurements to give to another registration.
#[derive(Debug, Clone, Args)]
pub struct ReattributeArgs {
    /// The registration that they count for: its site's name or its number.
    #[arg(value_name = "FROM")]
    pub source: String,
    /// The registration that they are to count for.
    #[arg(value_name = "TO")]
    pub target: String,
    /// Only intervals that start at this instant or later, RFC 3339 or a date; every one unless given.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Only intervals that start before this instant; now unless given.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Why; the audit keeps it.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A site to register.
#[derive(Debug, Clone, Args)]
pub struct RegistrationArgs {
    /// The site's name.
    pub site: String,
    /// The provider's name or alias.
    #[arg(long)]
    pub provider: String,
    /// The location's ISO 3166-2 code.
    #[arg(long, value_name = "CODE")]
    pub location: String,
    /// A prefix in CIDR form; may be given several times.
    #[arg(long, value_name = "CIDR", required = true)]
    pub prefix: Vec<String>,
    /// Let reports count measurements whose public address could not be observed.
    #[arg(long)]
    pub count_declared: bool,
    /// Accept prefixes that nobody announces: documentation, private … For laboratories.
    #[arg(long)]
    pub allow_non_public: bool,
    /// Let the prefixes lie inside, or around, other prefixes of the same provider.
    #[arg(long)]
    pub nested: bool,
    /// The first instant, RFC 3339 or a date; now unless given.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// The first instant after it; none unless given.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// How the change is printed.
    #[command(flatten)]
    pub options: ChangeOptions,
}

/// Sites to register at once.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The file, `-` for standard input. Its first line names the columns: site, provider, location, prefixes (separated by
    /// spaces or semicolons) and, where wanted, `valid_from`, `valid_to`, `count_declared`, `allow_non_public`, nested.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Make every check and register nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How the outcome is printed.
    #[command(flatten)]
    pub options: ChangeOptions,
}

/// Which registrations are listed, and how.
#[derive(Debug, Clone, Default, Args)]
pub struct RegistrationListOptions {
    /// Only the one that this address belongs to now, by its longest prefix.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "all")]
    pub address: Option<std::net::IpAddr>,
    /// How it is printed, and whether it shows what has ended.
    #[command(flatten)]
    pub history: HistoryOptions,
}

/// Which agents are listed, and how.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct FleetOptions {
    /// Only agents that an operator should look into: silent, refused, dropping, busy, with a wrong clock …
    #[arg(long)]
    pub unhealthy: bool,
    /// Only agents whose version is older than the collector's.
    #[arg(long)]
    pub behind: bool,
    /// How it is printed, and whether it shows what was revoked or retired.
    #[command(flatten)]
    pub history: HistoryOptions,
}

/// Agents.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// List the agents.
    ///
    /// With `--unhealthy` or `--behind` only those that an operator should look into; the exit code is 1 if there are any.
    List(FleetOptions),
    /// Show all that is known of an agent.
    Show {
        /// Its identity, or as much of its beginning as is unique, or its site.
        agent: String,
        /// How it is printed.
        #[command(flatten)]
        options: ListOptions,
    },
    /// Create a token with which this agent enrols again and brings a new key, and print it. It is shown this once.
    ///
    /// For an agent that has lost its key, or was off for so long that it has expired: `peerlight-agent enrol --new-key`
    /// takes it. The agent stays what it is, with all that it has measured.
    Token {
        /// Its identity, or as much of its beginning as is unique, or its site.
        agent: String,
        /// How long the token holds.
        #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = humantime::parse_duration)]
        life: Duration,
        /// How it is printed: the token alone on standard output, or a JSON document.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Give an agent tags, or take some from it: `target add --tag` assigns to those with a tag.
    Tag {
        /// Its identity, or as much of its beginning as is unique, or its site.
        agent: String,
        /// A tag that it is to have; may be given several times.
        #[arg(long, value_name = "TAG")]
        add: Vec<String>,
        /// A tag that it is to have no more; may be given several times.
        #[arg(long, value_name = "TAG")]
        remove: Vec<String>,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Retire an agent whose machine is gone: its requests are refused, and reports expect nothing of it from now on.
    ///
    /// What it measured stays. `peerlight-agent decommission` does the same from its machine.
    Retire {
        /// Its identity, or as much of its beginning as is unique, or its site.
        agent: String,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Refuse an agent's requests from now on.
    Revoke {
        /// Its identity, or as much of its beginning as is unique, or its site.
        agent: String,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// Enrolment tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token and print it. It is shown this once.
    Create(TokenArgs),
    /// List the tokens, without their secrets.
    List(HistoryOptions),
    /// Revoke a token. Agents that it has enrolled stay.
    Revoke {
        /// Its number.
        token: i64,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// A token to create.
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// The site, or the registration's number.
    pub registration: String,
    /// How many agents may enrol with it.
    #[arg(long, default_value_t = 1)]
    pub uses: u32,
    /// A prefix from which it may be used, and from nowhere else; may be given several times.
    #[arg(long, value_name = "CIDR")]
    pub source: Vec<String>,
    /// A tag for each agent that it enrols; may be given several times.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Let a machine that was set up anew become the agent of the same site that had its name, once that is silent.
    #[arg(long)]
    pub re_enrol: bool,
    /// How long it holds.
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = humantime::parse_duration)]
    pub life: Duration,
    /// How it is printed: the token alone on standard output, or a JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Operator tokens.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Create an operator token and print it. It is shown this once, and replaces one of the same name.
    Create {
        /// Its name: what the audit says.
        name: String,
        /// What it may do: administrator or reader.
        #[arg(long, default_value_t = Role::Administrator)]
        role: Role,
        /// How it is printed: the token alone on standard output, or a JSON document.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List the operator tokens, without their secrets.
    List(HistoryOptions),
    /// Revoke an operator token.
    Revoke {
        /// Its number.
        token: i64,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Sessions: who is signed in by a browser.
    #[command(subcommand)]
    Session(SessionCommand),
}

/// Sessions of browsers.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum SessionCommand {
    /// List the open sessions: those that operator tokens and providers' links opened, and those of people.
    List(ListOptions),
    /// End a session. Whoever is to stay out has to lose the token, or the rights at the OpenID provider, first.
    End {
        /// Its number.
        session: u64,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// How much of the audit is printed, and how.
#[derive(Debug, Clone, Copy, Args)]
pub struct AuditOptions {
    /// The most changes to show.
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// How it is printed; the changes themselves stand in JSON only.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
