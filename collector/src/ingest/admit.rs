//! What may be stored, and whose it is: the pure checks between a decoded batch and the store.

use crate::{
    organisation::OrganisationId,
    registry::{Registration, RegistrationId},
    store::Attribution,
};
use ipnet::IpNet;
use peerlight_proto::{
    ack::Refusal,
    batch::Batch,
    id::{AgentId, BatchDigest},
    time::Timestamp,
};

/// Who pushed: an agent whose signature was verified, with the registration that it enrolled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The agent.
    pub agent: AgentId,
    /// The registration that it measures for, as the registry holds it now.
    pub registration: Registration,
}

/// A batch that may be stored. Only `admit` makes one.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub(crate) organisation: OrganisationId,
    pub(crate) digest: BatchDigest,
    /// The collector's clock at admission.
    pub(crate) received: Timestamp,
    /// The batch; its `measurements` are empty, they stand in `measurements` with their attribution.
    pub(crate) batch: Batch,
    pub(crate) measurements: Vec<AdmittedMeasurement>,
    pub(crate) refused: Vec<Refusal>,
}

/// A measurement with the registration that was chosen for it.
#[derive(Debug, Clone)]
pub struct AdmittedMeasurement {
    pub(crate) measurement: peerlight_proto::measurement::Measurement,
    pub(crate) registration: RegistrationId,
    pub(crate) attribution: Attribution,
    pub(crate) prefix: Option<IpNet>,
}
