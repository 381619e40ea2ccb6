//! The tools: Peerlight and what people use today.

mod blackbox;
mod command_line;

use crate::{
    course::{Condition, Course, Kind, Measure},
    known_path::KnownPath,
};
use nix::sys::resource::{UsageWho, getrusage};
use std::{
    collections::HashMap,
    fmt::{self, Display},
    net::IpAddr,
    path::Path,
    process::Command,
    time::Duration,
};

/// A tool that measures round trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tool {
    /// Peerlight's prober.
    Peerlight,
    /// Peerlight's prober as an account without any privilege, which is how its service runs.
    PeerlightUnprivileged,
    /// Peerlight's prober with its portable ICMP engine.
    PeerlightPortable,
    /// surge-ping, as its README shows it.
    SurgePing,
    /// fping, which `SmokePing` uses.
    Fping,
    /// ping of iputils.
    Ping,
    /// curl's times (`--write-out`).
    Curl,
    /// Prometheus' `blackbox_exporter`.
    Blackbox,
}

/// What came of a tool's run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Each target's times in the order of its probes; none where the tool says that nothing came back.
    pub(crate) times: HashMap<(Measure, IpAddr), Vec<Option<Duration>>>,
    /// The tool's CPU time, with its start and end.
    pub(crate) cpu: Duration,
}

impl Tool {
    /// All, ours first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        <Self as clap::ValueEnum>::value_variants().iter().copied()
    }

    /// Whether it can do the course at all.
    pub(crate) const fn can(self, course: &Course) -> bool {
        match self {
            Self::Peerlight | Self::Blackbox => true,
            Self::PeerlightUnprivileged | Self::PeerlightPortable | Self::SurgePing | Self::Fping => {
                matches!(course.kind, Kind::Icmp)
            }
            Self::Ping => matches!(course.kind, Kind::Icmp) && course.targets == 1,
            Self::Curl => !matches!(course.kind, Kind::Icmp) && course.targets == 1,
        }
    }

    /// Whether it is here.
    pub(crate) fn is_installed(self) -> bool {
        self.program().is_none_or(|program| {
            let directories = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&directories).any(|directory| directory.join(program).exists())
        })
    }

    const fn program(self) -> Option<&'static str> {
        match self {
            Self::Peerlight | Self::PeerlightUnprivileged | Self::PeerlightPortable | Self::SurgePing => None,
            Self::Fping => Some("fping"),
            Self::Ping => Some("ping"),
            Self::Curl => Some("curl"),
            Self::Blackbox => Some("prometheus-blackbox-exporter"),
        }
    }

    /// Runs the course.
    pub(crate) fn run(self, path: &KnownPath, course: &Course) -> anyhow::Result<Run> {
        let before = cpu_of_children()?;
        let times = match self {
            Self::Peerlight => command_line::child("peerlight", path, course),
            Self::PeerlightUnprivileged => command_line::unprivileged_child("peerlight", path, course),
            Self::PeerlightPortable => command_line::child("portable", path, course),
            Self::SurgePing => command_line::child("surge-ping", path, course),
            Self::Fping => command_line::fping(path, course),
            Self::Ping => command_line::ping(path, course),
            Self::Curl => command_line::curl(path, course),
            Self::Blackbox => blackbox::run(path, course),
        }?;
        let mut sorted = HashMap::<_, Vec<_>>::new();
        for (address, times) in times {
            for (&measure, time) in course.kind.measures().iter().zip(times) {
                sorted.entry((measure, address)).or_default().push(time);
            }
        }
        Ok(Run { times: sorted, cpu: cpu_of_children()?.saturating_sub(before) })
    }
}

/// What came of a course at a high rate.
#[derive(Debug, Clone)]
pub(crate) struct Rush {
    pub(crate) answered: u32,
    /// What it said where nothing was answered.
    pub(crate) complaint: Option<String>,
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
}

impl Tool {
    /// Runs the course beside the targets, where nothing but the machine limits it; none if the tool is not for that.
    pub(crate) fn rush(self, path: &KnownPath, course: &Course) -> Option<anyhow::Result<Rush>> {
        let command = match self {
            Self::Peerlight => command_line::child_command("peerlight", path, course),
            Self::Fping => Ok(command_line::fping_command(course)),
            Self::PeerlightUnprivileged
            | Self::PeerlightPortable
            | Self::SurgePing
            | Self::Ping
            | Self::Curl
            | Self::Blackbox => return None,
        };
        Some(command.and_then(|mut command| {
            let (before, start) = (cpu_of_children()?, command_line::now());
            let printed = command_line::output_beside_targets(path, &mut command)?;
            let times = printed.lines().flat_map(|line| line.split_whitespace().skip(1));
            let answered = times.filter(|time| time.parse::<f64>().is_ok()).count();
            let complaint = printed.lines().next().filter(|_| answered == 0).map(str::to_owned);
            Ok(Rush {
                answered: u32::try_from(answered)?,
                complaint,
                took: start.elapsed(),
                cpu: cpu_of_children()?.saturating_sub(before),
            })
        }))
    }
}

impl Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Peerlight => "peerlight",
            Self::PeerlightUnprivileged => "peerlight (no priv.)",
            Self::PeerlightPortable => "peerlight (portable)",
            Self::SurgePing => "surge-ping",
            Self::Fping => "fping",
            Self::Ping => "ping",
            Self::Curl => "curl",
            Self::Blackbox => "blackbox_exporter",
        })
    }
}

/// Each probe's target and times, one for each measure, in the order in which they were sent.
type Times = Vec<(IpAddr, Vec<Option<Duration>>)>;

/// `program`, as nice as the course asks for.
fn command(program: impl AsRef<Path>, course: &Course) -> Command {
    let program = program.as_ref();
    if course.condition == Condition::Nice {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// What the ended children used so far.
fn cpu_of_children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec()).unwrap_or(0)
    };
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}
