//! Who is calling: an agent by its signature, an operator by a token or a session, and never a page of another origin.

pub mod agent;
pub mod browser;
pub(crate) mod keys;
mod links;
pub mod operator;
mod sessions;

pub(crate) use links::{FRONT_PAGE, OPEN_TO_VISITORS};
pub use sessions::{SESSION_LENGTH, Sessions};
