//! The collector as its callers see it: HTTP in, documents out. Real ports, real TLS, real signatures, a real store.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by panicking")]

mod agent;
mod alerts;
mod audit;
mod availability;
mod azure_reachability;
mod batches;
mod check_config;
mod clock;
mod collector;
mod command;
mod comparisons;
mod dashboard;
mod dropped;
mod edges;
mod enrolments;
mod faults;
mod fleet;
mod forms;
mod grafana;
mod imports;
mod keys;
mod letter;
mod monitoring;
mod oidc;
mod operators;
mod parquet;
mod process;
mod provider_links;
mod proxies;
mod python;
mod reattributions;
mod registry;
mod reports;
mod requests;
mod schemathesis;
mod scipy;
mod seeded;
mod series;
mod service;
mod successors;
mod vitals;
mod yardsticks;
