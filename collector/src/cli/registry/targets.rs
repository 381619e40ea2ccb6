//! `target` and what is below it.

use crate::cli::{ChangeOptions, Format, ListOptions};
use clap::{Args, Subcommand};
use std::time::Duration;

/// Assigned targets.
#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// Assign a target.
    ///
    /// Agents have it within minutes. With `--staged` no agent has it before `target roll-out`.
    Add(TargetArgs),
    /// List the assigned targets.
    List(TargetListOptions),
    /// List the target sets, one for each change, with how many agents hold and refuse each.
    Sets(ListOptions),
    /// Give the staged target set to a share of the agents; to 100% puts it in force.
    ///
    /// The same agents go first in every roll-out, and whoever has the set keeps it when the share grows.
    RollOut {
        /// The share of all agents: `5%`, `0.5%`, `100%`.
        #[arg(value_name = "SHARE", value_parser = crate::cli::target::share_permille)]
        share: u16,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Take the staged target set back; without one, put the set before the one in force in its place.
    RollBack {
        /// The target set to go to.
        #[arg(long, value_name = "NUMBER")]
        to: Option<u32>,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Take a target back.
    Remove {
        /// Its number.
        target: i64,
        /// Take it from the staged target set, in the place of the one in force.
        #[arg(long)]
        staged: bool,
        /// How it is printed.
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// Which targets are listed, and how.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct TargetListOptions {
    /// Those of the target set with this number, in the place of the one in force.
    #[arg(long, value_name = "NUMBER", conflicts_with = "staged")]
    pub set: Option<u32>,
    /// Those of the staged target set.
    #[arg(long)]
    pub staged: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A target to assign.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// What people call it.
    pub name: String,
    /// A host name or an IP address.
    #[arg(long)]
    pub address: String,
    /// What is done there: `icmp`, `tcp:PORT`, `https`, `https:PORT/PATH`, `dns` or `udp:PORT`; may be given several times.
    #[arg(long, value_name = "PROBE", required = true)]
    pub probe: Vec<String>,
    /// The service that it belongs to.
    #[arg(long, default_value = "")]
    pub service: String,
    /// The time between two probes: 10s, 1m …; the agent's default unless given.
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub interval: Option<Duration>,
    /// Only for agents of this provider.
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Only for agents in this location.
    #[arg(long, value_name = "CODE")]
    pub location: Option<String>,
    /// Only for agents with this tag.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Add it to the staged target set, which no agent has before `target roll-out`.
    #[arg(long)]
    pub staged: bool,
    /// How the change is printed.
    #[command(flatten)]
    pub options: ChangeOptions,
}
