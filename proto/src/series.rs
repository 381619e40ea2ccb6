//! Series: what one histogram is about.

use crate::{
    id::{SeriesId, TargetId, hash_fields},
    metric::Metric,
    target::Target,
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Defines a small closed set of words that stand on the wire by name.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The value of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// The address family. Each is measured on its own: no happy eyeballs.
    Family {
        /// Internet Protocol version 4.
        V4 = "v4",
        /// Internet Protocol version 6.
        V6 = "v6",
    }
}

words! {
    /// Whether a probe went straight to its target or through the site's proxy.
    Path {
        /// Straight.
        Direct = "direct",
        /// Through a proxy.
        Proxy = "proxy",
    }
}

words! {
    /// Where a time comes from, most trustworthy first.
    Clock {
        /// Stamps that the kernel put on the packets.
        Kernel = "kernel",
        /// The kernel's own round-trip estimate of a TCP connection.
        TcpInfo = "tcp_info",
        /// This process's monotonic clock: includes the wait to be scheduled.
        User = "user",
    }
}

words! {
    /// The HTTP version that an exchange used.
    HttpVersion {
        /// HTTP/1.1.
        Http1 = "1.1",
        /// HTTP/2.
        Http2 = "2",
    }
}

words! {
    /// The kind of a TLS handshake: a retry costs a round trip more, a resumption one less computation.
    Handshake {
        /// A full handshake.
        Full = "full",
        /// A full handshake after a `HelloRetryRequest` (RFC 8446, §4.1.4).
        FullWithRetry = "full_with_retry",
        /// A resumed session.
        Resumed = "resumed",
    }
}

impl Family {
    /// The family of `address`.
    pub const fn of(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(_) => Self::V4,
            std::net::IpAddr::V6(_) => Self::V6,
        }
    }
}

/// What one histogram is about (rules, §4). A failed probe has no HTTP version and no handshake, and bears the clock
/// that it would have been timed by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// The site's uplink, by the name of its registration.
    pub uplink: Arc<str>,
    /// What is measured where.
    pub target: TargetId,
    /// Which time of it.
    pub metric: Metric,
    /// Over which family.
    pub family: Family,
    /// Straight or through a proxy.
    pub path: Path,
    /// By which clock.
    pub clock: Clock,
    /// With which HTTP version, where one was agreed on.
    pub http_version: Option<HttpVersion>,
    /// With which TLS handshake, where there was one.
    pub handshake: Option<Handshake>,
}

impl SeriesKey {
    /// Its identity: a hash of its fields in the order above.
    pub fn id(&self) -> SeriesId {
        SeriesId::new(hash_fields(
            "peerlight series v1",
            &[
                self.uplink.as_bytes(),
                self.target.as_bytes(),
                self.metric.name().as_bytes(),
                self.family.as_str().as_bytes(),
                self.path.as_str().as_bytes(),
                self.clock.as_str().as_bytes(),
                self.http_version.map_or("", HttpVersion::as_str).as_bytes(),
                self.handshake.map_or("", Handshake::as_str).as_bytes(),
            ],
        ))
    }
}

/// A series as a batch's dictionary describes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Series {
    /// The key; `key.target` is `target.id()`.
    pub key: SeriesKey,
    /// The target itself.
    pub target: Arc<Target>,
    /// The schedule's own interval between two probes, in milliseconds: what coverage is counted against.
    pub probe_interval_ms: u32,
}
