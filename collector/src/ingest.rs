//! Ingest: a push becomes a batch on disk that is counted once.

mod admit;

pub use admit::{Admitted, AdmittedMeasurement, Caller, Inadmissible, admit};
