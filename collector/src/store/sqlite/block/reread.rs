//! The law of blocks that a fuzz target searches to break: whatever reads can be written, and reads back the same.

use super::{Cells, check, read, records::records_of, write};
use peerlight_proto::metric::Metric;

/// More cells are read, but not collected.
const MOST_COLLECTED: usize = 1 << 16;

/// Reads any bytes; what they hold is put in order and written, and must read back the same.
#[expect(clippy::expect_used, reason = "a broken law fails by panicking")]
pub(in super::super) fn reread(bytes: &[u8]) {
    if !check(bytes).is_ok_and(|cells| cells <= MOST_COLLECTED) {
        return;
    }
    let (mut cells, mut spare) = (Cells::default(), Cells::default());
    read(bytes, &mut cells).expect("what was read reads again");
    cells.merge(&mut spare);
    let columns = write(cells.all()).expect("what was read is written").bytes;
    for block in [columns, records_of(Metric::IcmpRtt, &cells).expect("rows keep their numbers").bytes] {
        spare.clear();
        read(&block, &mut spare).expect("what was written reads");
        assert!(cells.is_same_as(&spare), "what was written reads back otherwise");
    }
}
