//! How an agent signs on to a proxy. A scheme is a variant that makes the value of `Proxy-Authorization` for a request;
//! `Negotiate` would ask the system for a ticket to the proxy there. Nothing here shows a secret by itself.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fmt;

/// How to sign on. Its credentials are in no log and no message.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    /// RFC 7617: name and password with each request.
    Basic {
        /// The name; without a colon.
        username: String,
        /// The password.
        password: Secret,
    },
}

impl Authentication {
    /// The scheme, as proxies name it.
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "Basic",
        }
    }

    /// The value of `Proxy-Authorization`.
    pub fn authorization(&self) -> String {
        match self {
            Self::Basic { username, password } => {
                let credentials = STANDARD.encode(format!("{username}:{}", password.reveal()));
                format!("{} {credentials}", self.scheme())
            }
        }
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())
    }
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, to be sent and not shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
