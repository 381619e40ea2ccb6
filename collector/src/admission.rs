//! Admission: what of a batch may be stored, and whose it is. Pure.

mod admit;
mod attribution;
mod caller;
mod choose;
mod dropped;

pub use admit::{AdmitError, Admitted, AdmittedMeasurement, admit};
pub use attribution::Attribution;
pub use caller::Caller;
pub(crate) use dropped::Shares;
pub use dropped::{AdmittedAccount, Loss};
