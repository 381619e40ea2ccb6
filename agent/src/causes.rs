//! What caused an error: all of it in one line, and whether something of a kind is among it.

use std::{error::Error, io};

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

/// The first error of this type among `error` and its causes. What an I/O error carries counts, too: its `source` leaves that out.
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let carried = |error: &'a (dyn Error + 'static)| {
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        carried.and_then(|carried| find::<E>(carried))
    };
    error.downcast_ref().or_else(|| carried(error)).or_else(|| error.source().and_then(find::<E>))
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
    #[test]
    fn a_cause_is_found_where_an_io_error_carries_it() {
        let telling = Telling { source: io::Error::from(io::ErrorKind::NotFound) };
        let error = anyhow::Error::new(io::Error::other(telling)).context("cannot start");
        let found = find::<Telling>(error.as_ref()).unwrap();
        assert_eq!(found.source.kind(), io::ErrorKind::NotFound);
        assert!(find::<std::fmt::Error>(error.as_ref()).is_none());
    }
}
