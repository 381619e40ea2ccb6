//! An error with its causes, in one line.

use std::error::Error;

/// The error and what caused it. Some errors tell their cause themselves: then it is not repeated.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the key: {source}")]
    struct Telling {
        source: io::Error,
    }

    #[test]
    fn every_cause_is_told_once() {
        let telling = Telling { source: io::Error::other("the disk is full") };
        let error = Err::<(), _>(telling).context("cannot start").unwrap_err();
        assert_eq!(with_causes(error.as_ref()), "cannot start: cannot read the key: the disk is full");
        let silent = io::Error::other("the disk is full");
        let error = Err::<(), _>(silent).context("cannot start").unwrap_err();
        assert_eq!(with_causes(error.as_ref()), "cannot start: the disk is full");
    }
}
