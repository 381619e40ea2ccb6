//! How sure it is whose a measurement is.

/// How sure it is that the probes left through the registered uplink (rules, §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attribution {
    /// The observed public address lies inside a prefix of the agent's registration.
    Verified,
    /// The public address could not be observed; the agent's word is taken.
    Declared,
    /// The observed public address lies outside: shown, never counted.
    OffPrefix,
}
