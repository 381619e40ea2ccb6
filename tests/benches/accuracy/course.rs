//! Courses: what is probed, how often and under which condition; the same for every tool.

use std::{
    fmt::{self, Display},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// What is probed how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Course {
    /// By which probe.
    pub(crate) kind: Kind,
    /// How many targets there are.
    pub(crate) targets: u16,
    /// How often each is probed.
    pub(crate) rounds: u32,
    /// The time between two probes of one target.
    pub(crate) period: Duration,
    /// What else the machine does.
    pub(crate) condition: Condition,
}

/// The kind of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Kind {
    /// ICMP echo.
    Icmp,
    /// TCP connect.
    Tcp,
    /// HTTPS on a connection of its own.
    Https,
}

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Measure {
    /// Echo request to reply.
    Echo,
    /// SYN to SYN-ACK.
    Connect,
    /// Client hello to the last byte of the server's answer.
    Handshake,
    /// Request to first byte.
    FirstByte,
}

impl Kind {
    /// What one probe times.
    pub(crate) const fn measures(self) -> &'static [Measure] {
        match self {
            Self::Icmp => &[Measure::Echo],
            Self::Tcp => &[Measure::Connect],
            Self::Https => &[Measure::Connect, Measure::Handshake, Measure::FirstByte],
        }
    }
}

impl Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Echo => "echo",
            Self::Connect => "connect",
            Self::Handshake => "tls",
            Self::FirstByte => "ttfb",
        })
    }
}

/// What else the machine does, and how the tool stands to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Condition {
    /// Whatever it does anyway.
    Idle,
    /// Four threads that never wait.
    Load,
    /// The same, and the tool gives way to them (nice 19).
    Nice,
}

impl Course {
    /// One target at a time, for the tools that know no more.
    pub(crate) fn single(kind: Kind, condition: Condition, probes: u32) -> Self {
        let a_second = if kind == Kind::Icmp { 50 } else { 20 };
        // It takes its time, and a fifth of the probes says enough of it.
        Self::spread(kind, 1, condition, probes.div_ceil(5), a_second)
    }

    /// Many targets, as often as an agent of a large site probes; at nice 19 as often as one of a small site does.
    pub(crate) fn usual(kind: Kind, targets: u16, condition: Condition, probes: u32) -> Self {
        let a_second = match (kind, condition) {
            (Kind::Icmp, Condition::Idle | Condition::Load) => 1_000,
            (Kind::Tcp, Condition::Idle | Condition::Load) => 200,
            (Kind::Https, Condition::Idle | Condition::Load) | (Kind::Icmp | Kind::Tcp, Condition::Nice) => {
                20
            }
            (Kind::Https, Condition::Nice) => 1,
        };
        let probes = if a_second == 1 { probes.div_ceil(10) } else { probes };
        Self::spread(kind, targets, condition, probes, a_second)
    }

    /// Many targets, so often that the start of a process hardly counts: what a probe costs.
    pub(crate) fn brisk(kind: Kind, targets: u16, probes: u32) -> Self {
        let a_second = if kind == Kind::Https { 400 } else { 1_000 };
        Self::spread(kind, targets, Condition::Idle, probes, a_second)
    }

    /// At least so many probes, so many a second, to so many targets by turns.
    fn spread(kind: Kind, targets: u16, condition: Condition, probes: u32, a_second: u32) -> Self {
        let targets = targets.min(u16::try_from(probes).unwrap_or(u16::MAX));
        let period = Duration::from_secs(targets.into()) / a_second;
        Self { kind, targets, rounds: probes.div_ceil(targets.into()), period, condition }
    }

    /// So many ICMP probes a second to so many targets, for so long.
    pub(crate) fn at_rate(targets: u16, a_second: u32, span: Duration) -> Self {
        let period = Duration::from_secs(targets.into()) / a_second;
        let rounds = u32::try_from(span.as_nanos() / period.as_nanos().max(1)).unwrap_or(u32::MAX);
        Self { kind: Kind::Icmp, targets, rounds, period, condition: Condition::Idle }
    }

    /// How many probes there are.
    pub(crate) fn probes(&self) -> u32 {
        u32::from(self.targets) * self.rounds
    }

    /// The time between two instants at which Peerlight sends, as its schedule has it.
    pub(crate) fn tick(&self) -> Duration {
        let fitting = self.period * 64 / u32::from(self.targets);
        fitting.min(self.period / 2).clamp(Duration::from_millis(1), Duration::from_millis(50))
    }

    /// The targets' addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        (0..self.targets).map(address)
    }

    /// All probes in the order in which they are due: since when, which target.
    pub(crate) fn due(&self) -> impl Iterator<Item = (Duration, u16)> + use<> {
        let (period, targets) = (self.period, self.targets);
        (0..self.rounds).flat_map(move |round| {
            (0..targets)
                .map(move |target| (period * round + period * u32::from(target) / u32::from(targets), target))
        })
    }

    /// As one word, for a child process.
    pub(crate) fn word(&self) -> String {
        let kind = match self.kind {
            Kind::Icmp => "icmp",
            Kind::Tcp => "tcp",
            Kind::Https => "https",
        };
        format!("{kind},{},{},{}", self.targets, self.rounds, self.period.as_micros())
    }

    /// Reads [`Course::word`] again. The condition is the parent's affair.
    pub(crate) fn read(word: &str) -> Option<Self> {
        let parts: Vec<&str> = word.split(',').collect();
        let &[kind, targets, rounds, period] = parts.as_slice() else { return None };
        Some(Self {
            kind: <Kind as clap::ValueEnum>::from_str(kind, false).ok()?,
            targets: targets.parse().ok()?,
            rounds: rounds.parse().ok()?,
            period: Duration::from_micros(period.parse().ok()?),
            condition: Condition::Idle,
        })
    }
}

impl Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Icmp => "ICMP",
            Kind::Tcp => "TCP connect",
            Kind::Https => "HTTPS",
        };
        let condition = match self.condition {
            Condition::Idle => "otherwise idle",
            Condition::Load => "4 busy threads",
            Condition::Nice => "4 busy threads, tool at nice 19",
        };
        let Self { targets, rounds, period, .. } = self;
        write!(f, "{kind}, {targets} × {rounds} probes, one each {period:?}; {condition}")
    }
}

/// The address of a target: within the networks for tests of networks (RFC 2544).
pub(crate) fn address(target: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(198, 19, 0, 1).to_bits() + u32::from(target)))
}
