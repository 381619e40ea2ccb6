//! What is known beforehand of who answers at a target: whose certificates it has and in which ranges it lies. Pure.

use super::trust::Trust;
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

/// Who may issue a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Issuers {
    /// Anybody who is trusted.
    Any,
    /// The one that the configuration names.
    Only(String),
    /// Those that the catalogue names, and every other one whose root is public: a middlebox's is its owner's, but
    /// Microsoft may change to another authority overnight.
    Public(&'static [&'static str]),
}

impl Default for Expectations {
    fn default() -> Self {
        Self { issuers: BTreeMap::new(), published: Published::built_in() }
    }
}

impl Expectations {
    /// Who may issue the certificate of `host`; anybody where there is none. What the catalogue knows holds among the
    /// authorities that the system trusts: whoever names an authority has said whom to expect.
    pub(crate) fn issuers(&self, host: &Host, trust: &Trust) -> Issuers {
        if let Some(issuer) = self.issuers.get(host) {
            return Issuers::Only(issuer.clone());
        }
        match (trust, catalogue::entry_of(host)) {
            (Trust::Platform, Some(entry)) if !entry.issuers.is_empty() => Issuers::Public(entry.issuers),
            (Trust::Platform | Trust::File(_), _) => Issuers::Any,
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
        let file = Trust::File("ca.pem".into());
        let Issuers::Public(names) = expected.issuers(&exchange, &Trust::Platform) else {
            panic!("the catalogue knows this one")
        };
        assert!(names.contains(&"Microsoft Corporation"));
        assert_eq!(expected.issuers(&exchange, &file), Issuers::Any);
        assert_eq!(expected.issuers(&other, &Trust::Platform), Issuers::Any);
        expected.issuers.insert(exchange.clone(), "Example Corp".to_owned());
        for trust in [Trust::Platform, file] {
            assert_eq!(expected.issuers(&exchange, &trust), Issuers::Only("Example Corp".to_owned()));
        }
    }
}
