//! A watch over the store's file, beside the collector that writes it: whether anything was committed, and what it holds.

use crate::collector::Collector;
use rusqlite::{Connection, OpenFlags, types::ValueRef};
use sha2::{Digest as _, Sha256};

/// What batches are kept in, each in the order of its key. The clock stands still, so that upkeep
/// leaves it alone.
const TABLES: [&str; 8] = [
    "SELECT * FROM ledger ORDER BY turn, session",
    "SELECT * FROM batch ORDER BY id",
    "SELECT * FROM segment ORDER BY id",
    "SELECT * FROM shape ORDER BY id",
    "SELECT * FROM origin ORDER BY id",
    "SELECT * FROM agent ORDER BY id",
    "SELECT * FROM session ORDER BY id",
    "SELECT * FROM presence ORDER BY organisation, stripe",
];

/// The watch.
pub(super) struct Watch {
    file: Connection,
    version: i64,
}

impl Watch {
    /// Over this collector's store, from now on.
    pub(super) fn over(collector: &Collector) -> Self {
        let file =
            Connection::open_with_flags(collector.store_file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut watch = Self { file, version: 0 };
        watch.written();
        watch
    }

    /// Whether anybody committed anything since this was asked last.
    pub(super) fn written(&mut self) -> bool {
        let version = self.file.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap();
        std::mem::replace(&mut self.version, version) != version
    }

    /// The digest of every row of what batches are kept in.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for table in TABLES {
            let mut statement = self.file.prepare(table).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for column in 0..columns {
                    let (kind, bytes) = match row.get_ref(column).unwrap() {
                        ValueRef::Null => (0, Vec::new()),
                        ValueRef::Integer(number) => (1, number.to_le_bytes().to_vec()),
                        ValueRef::Real(number) => (2, number.to_le_bytes().to_vec()),
                        ValueRef::Text(bytes) => (3, bytes.to_vec()),
                        ValueRef::Blob(bytes) => (4, bytes.to_vec()),
                    };
                    digest.update([kind]);
                    digest.update(bytes.len().to_le_bytes());
                    digest.update(bytes);
                }
            }
            digest.update([5]);
        }
        digest.finalize().into()
    }
}
