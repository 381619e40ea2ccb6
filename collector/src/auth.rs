//! Who is calling: an agent by its signature, an operator by a token or a session, and never a page of another origin.

pub mod agent;
pub mod browser;
pub(crate) mod keys;
pub mod operator;
mod sessions;

pub use sessions::{SESSION_LENGTH, Sessions};
