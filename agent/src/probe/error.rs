//! Why probes cannot be sent at all.

use peerlight_proto::series::Family;
use std::{io, path::PathBuf, time::Duration};

/// Why probes cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The system lets this process send no ICMP.
    #[error(
        "ICMP over IP{family} is not permitted: put this process's group into the sysctl net.ipv4.ping_group_range \
         (such as \"0 2147483647\"), or give it the capability CAP_NET_RAW"
    )]
    IcmpNotPermitted {
        /// Over which family.
        family: Family,
        /// What the system said.
        source: io::Error,
    },
    /// An ICMP socket cannot be opened, or not bound to the source address.
    #[error("cannot open an ICMP socket for IP{family}: {source}")]
    IcmpSocket {
        /// Of which family.
        family: Family,
        /// What the system said.
        source: io::Error,
    },
    /// The CA certificates for HTTPS targets cannot be used.
    #[error("cannot use the CA certificates in {}: {reason}", path.display())]
    Trust {
        /// Where they are.
        path: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
    /// The certificates that the system trusts cannot be read.
    #[error(transparent)]
    Platform(rustls::Error),
    /// The times contradict each other.
    #[error(
        "a time-out of {timeout:?} must be above zero and at most the deadline of {deadline:?}, and that below one minute"
    )]
    Times {
        /// As set.
        timeout: Duration,
        /// As set.
        deadline: Duration,
    },
}
