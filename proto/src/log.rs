//! How both programs log: no place in them floods it, and systemd's journal is told how grave each line is.
//!
//! Neither the clock nor standard error is reached from here: both are handed in.

pub mod journal;
mod pace;

pub use pace::Paced;

use tracing::Subscriber;
use tracing_subscriber::{Layer, fmt, fmt::MakeWriter, registry::LookupSpan};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people, with time and level, in colours or without.
    Text {
        /// Whether what shows them knows colours.
        colours: bool,
    },
    /// For a journal that keeps time and severity of each entry itself.
    Journal,
    /// One JSON object a line, for programs.
    Json,
}

/// What writes lines in this form, to where `writer` leads.
pub fn lines<S, W>(form: Form, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'event> MakeWriter<'event> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    match form {
        Form::Text { colours } => layer.with_ansi(colours).boxed(),
        Form::Journal => layer.without_time().with_level(false).with_ansi(false).boxed(),
        Form::Json => layer.json().boxed(),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a pace needs some instant to begin with")]
mod tests {
    use super::*;
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
        time::Instant,
    };
    use tracing::Metadata;
    use tracing_subscriber::{fmt::writer::MakeWriterExt as _, layer::SubscriberExt as _};

    /// What was written, to be read afterwards.
    #[derive(Clone, Default)]
    struct Sheet(Arc<Mutex<Vec<u8>>>);

    impl Write for Sheet {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sheet {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_place_that_floods_is_cut_off_and_counted_and_the_journal_hears_how_grave_each_line_is() {
        let (sheet, paced) = (Sheet::default(), Arc::new(Paced::new(Instant::now)));
        let (opened, filter) = (sheet.clone(), Arc::clone(&paced));
        let journal = journal::Journal(move || opened.clone());
        let writer = journal.with_filter(move |metadata: &Metadata<'_>| filter.may_say(metadata));
        let subscriber = tracing_subscriber::registry().with(lines(Form::Journal, writer));
        tracing::subscriber::with_default(subscriber, || {
            for turn in 0..1_000 {
                tracing::warn!(turn, "the disk is full");
                tracing::debug!(turn, "asked for");
            }
            tracing::error!("two\nlines");
            paced.tell_left_out();
        });
        let text = sheet.text();
        let begin = |mark: &str| text.lines().filter(|line| line.starts_with(mark)).count();
        assert_eq!(text.matches("the disk is full").count(), 100, "{text}");
        assert_eq!((begin("<4>"), begin("<3>"), begin("<7>")), (101, 2, 1_000), "{text}");
        let last = text.lines().next_back().unwrap();
        assert!(last.contains("entries=900") && last.contains("entries of the log were left out"), "{last}");
    }

    #[test]
    fn each_form_is_what_its_reader_takes() {
        let say = |form| {
            let sheet = Sheet::default();
            let opened = sheet.clone();
            let subscriber = tracing_subscriber::registry().with(lines(form, move || opened.clone()));
            tracing::subscriber::with_default(subscriber, || tracing::info!(agents = 3, "it runs"));
            sheet.text()
        };
        assert_eq!(say(Form::Journal), "peerlight_proto::log::tests: it runs agents=3\n");
        let plain = say(Form::Text { colours: false });
        assert!(plain.ends_with(" INFO peerlight_proto::log::tests: it runs agents=3\n"), "{plain}");
        assert!(say(Form::Text { colours: true }).contains("\u{1b}["));
        let json: serde_json::Value = serde_json::from_str(&say(Form::Json)).unwrap();
        assert_eq!((&json["level"], &json["fields"]["agents"]), (&"INFO".into(), &3.into()));
    }
}
