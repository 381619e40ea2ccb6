//! The registry: providers, locations, registrations, agents, targets and tokens.

mod registration;

pub use registration::{Registration, RegistrationId};
