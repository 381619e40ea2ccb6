//! Prometheus's text format, as far as all that write it agree.

/// A label's value: what would end it is escaped.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
