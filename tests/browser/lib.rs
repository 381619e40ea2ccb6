//! A real browser at the dashboard, for tests: headless Chromium that signs in through a door of its own, what its console
//! complains of, what axe-core finds in a page, and the tables that a reader sees.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on says so by panicking"
)]

pub mod axe;
pub mod chromium;
pub mod door;
pub mod node;
pub mod table;
