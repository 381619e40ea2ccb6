//! The collector as its callers see it: HTTP in, documents out.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod empty_store;
mod registry;
