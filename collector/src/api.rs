//! The HTTP API: one file per resource.

pub mod list;
