//! The collector: authenticates agents, checks what they push, stores it exactly once, and answers per-provider reports.

pub mod api;
pub mod cli;
pub mod client;
pub mod ingest;
pub mod organisation;
pub mod registry;
pub mod rfc3339;
pub mod store;
