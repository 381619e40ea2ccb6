//! Who is calling: an agent by its signature, an operator by a token or a session, a person by an OpenID provider's word, and never
//! a page of another origin.

pub mod agent;
pub mod browser;
pub(crate) mod keys;
mod links;
#[cfg(feature = "oidc")]
pub mod oidc;
pub mod operator;
mod sessions;

pub(crate) use links::{FRONT_PAGE, OPEN_TO_VISITORS};
pub use sessions::{Holder, SESSION_LENGTH, SessionEntry, Sessions};
