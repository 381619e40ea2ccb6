//! The built-in targets: Microsoft's services as a branch office meets them. Used when neither the configuration nor the
//! collector names any.

pub mod published;
pub mod show;
pub mod update;

use crate::targets::{ScheduledTarget, default_interval};
use peerlight_proto::target::{Host, Target};

/// A place of Microsoft's, with what is measured there and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What people call it.
    pub name: &'static str,
    /// The service that it belongs to.
    pub service: &'static str,
    /// Its host name or address.
    pub address: &'static str,
    /// What is done there.
    pub probes: &'static [&'static str],
    /// Who issues its certificates: the organisation of the issuer is one of these. Nobody is expected where it is empty.
    pub issuers: &'static [&'static str],
    /// The domains that its own redirects lead to; its other answers are its own whatever their status, but for 511.
    pub leads_to: &'static [&'static str],
    /// Why it is in the list.
    pub reason: &'static str,
}

/// Microsoft's own authority and those that it buys from, by its "Microsoft 365 encryption chains" (2021-02-01, those that are
/// still trusted) and "Office TLS certificate changes" (2022-03-07). Wide on purpose: certificates move between them at short
/// notice, and none of them issues for those who inspect.
pub const ISSUERS: &[&str] = &[
    "Microsoft Corporation",
    "DigiCert Inc",
    "DigiCert, Inc.",
    "Entrust, Inc.",
    "GlobalSign nv-sa",
    "D-Trust GmbH",
];
/// Microsoft's own domains, among which its services send a browser to and fro.
const DOMAINS: &[&str] = &[
    "azure.com",
    "cloud.microsoft",
    "live.com",
    "microsoft.com",
    "microsoftonline.com",
    "office.com",
    "office365.com",
    "outlook.com",
    "sharepoint.com",
    "windows.net",
];

/// The list.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "exchange-online",
        service: "Microsoft 365",
        address: "outlook.office365.com",
        probes: &["icmp", "tcp:443", "https", "dns"],
        issuers: ISSUERS,
        leads_to: DOMAINS,
        reason: "Exchange Online's front door, which DNS chooses by resolver; Microsoft judges Exchange by TCP latency here",
    },
    Entry {
        name: "sharepoint-online",
        service: "Microsoft 365",
        address: "microsoft.sharepoint.com",
        probes: &["tcp:443", "https"],
        issuers: ISSUERS,
        leads_to: DOMAINS,
        reason: "SharePoint and OneDrive enter through the same edge as every tenant's own name",
    },
    Entry {
        name: "entra-id",
        service: "Microsoft Entra ID",
        address: "login.microsoftonline.com",
        probes: &["tcp:443", "https", "dns"],
        issuers: ISSUERS,
        leads_to: DOMAINS,
        reason: "every sign-in to a Microsoft service begins here",
    },
    Entry {
        name: "teams",
        service: "Microsoft Teams",
        address: "teams.microsoft.com",
        probes: &["tcp:443", "https"],
        issuers: ISSUERS,
        leads_to: DOMAINS,
        reason: "chat, presence and the signalling of calls",
    },
    Entry {
        name: "teams-transport-relay",
        service: "Microsoft Teams",
        address: "world.tr.teams.microsoft.com",
        probes: &["icmp", "tcp:443"],
        issuers: &[],
        leads_to: &[],
        reason: "the nearest media relay: delay, jitter and loss as calls have them; Microsoft's own connectivity test traces it",
    },
    Entry {
        name: "graph",
        service: "Microsoft 365",
        address: "graph.microsoft.com",
        probes: &["tcp:443", "https"],
        issuers: ISSUERS,
        leads_to: DOMAINS,
        reason: "the interface of Microsoft 365; its answers name the region that serves the site",
    },
    Entry {
        name: "azure-resource-manager",
        service: "Microsoft Azure",
        address: "management.azure.com",
        probes: &["tcp:443", "https"],
        issuers: ISSUERS,
        leads_to: DOMAINS,
        reason: "Azure's control plane; its answers name the region that serves the site",
    },
];

/// The list as targets, one for each probe.
///
/// # Panics
/// Never: the list is constant and a test reads all of it.
#[expect(clippy::expect_used, reason = "the list is constant and a test reads all of it")]
pub fn microsoft() -> Vec<Target> {
    let targets = ENTRIES.iter().flat_map(|entry| {
        entry.probes.iter().map(|probe| Target {
            name: entry.name.to_owned(),
            service: entry.service.to_owned(),
            address: entry.address.parse().expect("a host in the list"),
            probe: probe.parse().expect("a probe in the list"),
        })
    });
    targets.collect()
}

/// The list as it is measured.
pub fn scheduled() -> Vec<ScheduledTarget> {
    let scheduled = |target: Target| ScheduledTarget { interval: default_interval(&target.probe), target };
    microsoft().into_iter().map(scheduled).collect()
}

/// The entry of a host, if it is in the list.
pub fn entry_of(host: &Host) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.address == host.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Ceilings;
    use std::collections::HashSet;

    #[test]
    fn every_entry_is_a_target_within_the_ceilings_with_a_reason() {
        let targets = microsoft();
        assert_eq!(targets.len(), ENTRIES.iter().map(|entry| entry.probes.len()).sum::<usize>());
        assert!(ENTRIES.iter().all(|entry| !entry.reason.is_empty() && !entry.probes.is_empty()));
        for target in &targets {
            assert_eq!(Ceilings::check_port(target.probe.port()), Ok(()), "{}", target.name);
            if let Some(address) = target.address.ip() {
                assert_eq!(Ceilings::new(Vec::new()).check(address, target.probe.port()), Ok(()));
            }
        }
        for entry in ENTRIES {
            let secured = entry.probes.contains(&"https");
            assert_eq!(
                (secured, secured),
                (!entry.issuers.is_empty(), !entry.leads_to.is_empty()),
                "{}",
                entry.name
            );
            assert_eq!(entry_of(&entry.address.parse().unwrap()), Some(entry));
        }
        let ids: HashSet<_> = targets.iter().map(Target::id).collect();
        assert_eq!(ids.len(), targets.len());
    }
}
