//! Trouble with a database's disk: what SQLite's word for it means, and what to do.

use rusqlite::ErrorCode;
use std::fmt;

/// What is wrong with the disk or the file, rather than with what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no space left.
    Full,
    /// The system refused to read or write.
    Failing,
    /// The file or its directory may only be read.
    ReadOnly,
    /// The file cannot be opened, or what SQLite keeps beside it cannot be made.
    Closed,
    /// The file is not what it was when it was written.
    Damaged,
}

/// SQLite's words for it. Every other is about what was asked.
const WORDS: [(ErrorCode, Trouble); 7] = [
    (ErrorCode::DiskFull, Trouble::Full),
    (ErrorCode::SystemIoFailure, Trouble::Failing),
    (ErrorCode::ReadOnly, Trouble::ReadOnly),
    (ErrorCode::PermissionDenied, Trouble::ReadOnly),
    (ErrorCode::CannotOpen, Trouble::Closed),
    (ErrorCode::DatabaseCorrupt, Trouble::Damaged),
    (ErrorCode::NotADatabase, Trouble::Damaged),
];

impl Trouble {
    /// The trouble that an error tells of, if it does.
    pub(crate) fn of(error: &rusqlite::Error) -> Option<Self> {
        let code = error.sqlite_error_code()?;
        WORDS.iter().find(|(word, _)| *word == code).map(|(_, trouble)| *trouble)
    }

    /// What an operator does about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Full => "free space on its disk",
            Self::Failing => {
                "see the system's log for what is wrong with its disk, and whether the disk is full or a quota is used up"
            }
            Self::ReadOnly => {
                "make the file and its directory writable for the account that the collector runs as; a disk that failed may \
                 have been mounted read-only"
            }
            Self::Closed => {
                "its directory must be there, have space left, and be writable for the account that the collector runs as"
            }
            Self::Damaged => {
                "stop the collector, see what is damaged with `peerlight-collector verify`, and put a backup in its place \
                 with `peerlight-collector restore`"
            }
        }
    }
}

/// The remedy of an error's trouble, as the end of a sentence; nothing if it tells of none.
pub(crate) fn remedy(error: &rusqlite::Error) -> impl fmt::Display {
    fmt::from_fn(move |f| match Trouble::of(error) {
        Some(trouble) => write!(f, "; {}", trouble.remedy()),
        None => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, ffi};

    #[test]
    fn each_of_sqlites_words_for_a_disk_has_a_remedy_and_others_have_none() {
        let told = |code| remedy(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)).to_string();
        assert_eq!(told(ffi::SQLITE_FULL), "; free space on its disk");
        for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(told(code).contains("the system's log"), "{code}");
        }
        assert!(told(ffi::SQLITE_READONLY).contains("writable"));
        assert!(told(ffi::SQLITE_CANTOPEN).contains("directory"));
        assert!(told(ffi::SQLITE_CORRUPT).contains("peerlight-collector restore"));
        assert_eq!(told(ffi::SQLITE_BUSY), "");
        let no_table = Connection::open_in_memory().unwrap().execute("DELETE FROM nothing", []).unwrap_err();
        assert_eq!(remedy(&no_table).to_string(), "");
    }
}
