//! The words for who answered in a target's place.

/// The kind of attribute that says that somebody else answered, or seems to.
pub(super) const INTERCEPTION: &str = "interception";
/// Another authority than expected issued the certificate.
pub(super) const BY_ISSUER: &str = "certificate issuer";
/// The answer is a captive portal's.
pub(super) const BY_PORTAL: &str = "captive portal";
/// The name leads to an address that Microsoft does not publish.
pub(super) const BY_ADDRESS: &str = "unpublished address";
/// How a certificate that does not verify is described.
pub(super) const UNVERIFIED: &str = "the certificate does not verify";
