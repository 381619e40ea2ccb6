//! What is known beforehand of who answers at a target: whose certificates it has and in which ranges it lies. Pure.

use super::settings::Trust;
use crate::catalogue::{self, published::Published};
use peerlight_proto::target::Host;
use std::{collections::BTreeMap, sync::Arc};

/// What is expected of targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectations {
    /// Who issues a host's certificates, as the configuration says it.
    pub issuers: BTreeMap<Host, String>,
    /// Where Microsoft says that its names lead.
    pub published: Arc<Published>,
}

impl Default for Expectations {
    fn default() -> Self {
        Self { issuers: BTreeMap::new(), published: Published::built_in() }
    }
}

impl Expectations {
    /// Who may issue the certificate of `host`; anybody where there is none. What the catalogue knows holds among the
    /// authorities that the system trusts: whoever names an authority has said whom to expect.
    pub(crate) fn issuers(&self, host: &Host, trust: &Trust) -> Vec<&str> {
        if let Some(issuer) = self.issuers.get(host) {
            return vec![issuer];
        }
        match trust {
            Trust::Platform => catalogue::entry_of(host).map_or(Vec::new(), |entry| entry.issuers.to_vec()),
            Trust::File(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_knows_better_than_the_catalogue_and_a_named_authority_better_than_both() {
        let (exchange, other): (Host, Host) =
            ("outlook.office365.com".parse().unwrap(), "intranet.example".parse().unwrap());
        let mut expected = Expectations::default();
        let issuers = |expected: &Expectations, host: &Host, trust: &Trust| {
            expected.issuers(host, trust).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let file = Trust::File("ca.pem".into());
        assert!(
            issuers(&expected, &exchange, &Trust::Platform).contains(&"Microsoft Corporation".to_owned())
        );
        assert!(issuers(&expected, &exchange, &file).is_empty());
        assert!(issuers(&expected, &other, &Trust::Platform).is_empty());
        expected.issuers.insert(exchange.clone(), "Example Corp".to_owned());
        for trust in [Trust::Platform, file] {
            assert_eq!(issuers(&expected, &exchange, &trust), ["Example Corp"]);
        }
    }
}
