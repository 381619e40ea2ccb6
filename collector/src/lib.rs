//! The collector: authenticates agents, checks what they push, stores it exactly once, and answers per-provider reports.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod client;
pub mod client_address;
pub mod clock;
pub mod config;
pub mod identity;
pub mod ingest;
pub mod logging;
pub mod metrics;
pub mod organisation;
pub mod paths;
pub mod rate;
pub mod registry;
pub mod rfc3339;
pub mod router;
pub mod server;
pub mod signature;
pub mod store;
