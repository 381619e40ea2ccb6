//! systemd's journal, as it reads standard error: by lines, each of which may begin with its severity (sd-daemon(3)).

use std::io::{self, Write};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The variable in which systemd says which stream leads to the journal. A program that a service starts with an output of its own
/// inherits it, too, so that it alone proves nothing.
pub const STREAM: &str = "JOURNAL_STREAM";

/// Whether `stream`, as systemd writes it, is this very file.
pub fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

/// `text` with what tells the journal how grave it is, on each line.
pub fn marked(level: Level, text: &str) -> String {
    let severity = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    };
    let mark = format!("<{severity}>");
    text.trim_end().lines().flat_map(|line| [mark.as_str(), line, "\n"]).collect()
}

/// The journal as the log writes it, by whatever `F` opens.
#[derive(Debug, Clone, Copy)]
pub struct Journal<F>(pub F);

impl<W: Write, F: Fn() -> W> MakeWriter<'_> for Journal<F> {
    type Writer = Entry<W>;

    fn make_writer(&self) -> Entry<W> {
        Entry { level: Level::INFO, writer: (self.0)() }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Entry<W> {
        Entry { level: *metadata.level(), writer: (self.0)() }
    }
}

/// An entry that is being written: in one piece, as the subscriber does.
#[derive(Debug)]
pub struct Entry<W> {
    level: Level,
    writer: W,
}

impl<W: Write> Write for Entry<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write_all(marked(self.level, &String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_says_how_grave_it_is() {
        assert_eq!(marked(Level::ERROR, "a disk is full\nmake room\n"), "<3>a disk is full\n<3>make room\n");
        let severities =
            [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE].map(|level| marked(level, "x"));
        assert_eq!(severities, ["<4>x\n", "<6>x\n", "<7>x\n", "<7>x\n"]);
    }

    #[test]
    fn only_the_very_stream_that_systemd_named_is_the_journal() {
        assert!(is_stream("9:1234", 9, 1234));
        for other in ["9:1235", "8:1234", "9", "", "nine:1234"] {
            assert!(!is_stream(other, 9, 1234), "{other}");
        }
    }
}
