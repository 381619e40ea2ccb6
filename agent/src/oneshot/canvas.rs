//! What the output may look like: how wide, with which colours, in which characters. Decided once from the terminal and the
//! environment; the renderers are pure.

use super::painted::Colour;
use clap::ColorChoice;
use std::{
    env,
    io::{self, IsTerminal as _},
};
use terminal_size::Width;

/// The narrowest output that is drawn for.
const NARROWEST: usize = 40;
/// The variables that name the character set, the one that counts first.
const LOCALE: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];

/// What the output may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Canvas {
    /// How many columns the terminal has; none if there is no terminal.
    pub(super) width: Option<usize>,
    pub(super) colour: bool,
    /// Whether more than ASCII is shown.
    pub(super) unicode: bool,
}

impl Canvas {
    /// That of standard output.
    pub(super) fn stdout(choice: ColorChoice) -> Self {
        Self::of(choice, io::stdout().is_terminal(), || terminal_size::terminal_size_of(io::stdout()))
    }

    /// That of standard error.
    pub(super) fn stderr(choice: ColorChoice) -> Self {
        Self::of(choice, io::stderr().is_terminal(), || terminal_size::terminal_size_of(io::stderr()))
    }

    fn of(
        choice: ColorChoice,
        terminal: bool,
        size: impl Fn() -> Option<(Width, terminal_size::Height)>,
    ) -> Self {
        let variable = |name: &str| env::var(name).ok();
        let width = size().filter(|_| terminal).map(|(Width(width), _)| usize::from(width).max(NARROWEST));
        Self {
            width,
            colour: is_coloured(choice, terminal, variable),
            unicode: cfg!(windows) || is_utf8(variable),
        }
    }

    /// The text in a colour, where there are colours.
    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Blue => 34,
            Colour::Magenta => 35,
            Colour::Cyan => 36,
            Colour::Grey => 90,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// One of two texts: the first where more than ASCII is shown.
    pub(super) fn either(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// The text in at most so many columns, its middle left out: both ends of an address tell something.
    pub(super) fn shorten(self, text: &str, columns: usize) -> String {
        let length = text.chars().count();
        if length <= columns {
            return text.to_owned();
        }
        let gap = self.either("…", "~");
        let kept = columns.saturating_sub(1);
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let start: String = text.chars().take(head).collect();
        let end: String = text.chars().skip(length - tail).collect();
        format!("{start}{gap}{end}")
    }
}

/// By the option; by itself, if it is a terminal with colours and `NO_COLOR` is not set (no-color.org).
fn is_coloured(choice: ColorChoice, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let said = |name: &str| variable(name).filter(|value| !value.is_empty());
            terminal && said("NO_COLOR").is_none() && said("TERM").is_none_or(|terminal| terminal != "dumb")
        }
    }
}

fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = LOCALE.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn colours_are_for_terminals_unless_someone_says_otherwise() {
        let auto = |terminal, pairs| is_coloured(ColorChoice::Auto, terminal, set(pairs));
        assert!(auto(true, &[("TERM", "xterm")]) && auto(true, &[("NO_COLOR", "")]));
        assert!(!auto(false, &[]) && !auto(true, &[("NO_COLOR", "1")]) && !auto(true, &[("TERM", "dumb")]));
        assert!(is_coloured(ColorChoice::Always, false, set(&[("NO_COLOR", "1")])));
        assert!(!is_coloured(ColorChoice::Never, true, set(&[])));
    }

    #[test]
    fn the_first_variable_that_is_set_names_the_characters() {
        assert!(is_utf8(set(&[("LANG", "de_DE.UTF-8")])) && is_utf8(set(&[("LC_CTYPE", "C.utf8")])));
        assert!(!is_utf8(set(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")])) && !is_utf8(set(&[])));
        assert!(is_utf8(set(&[("LC_ALL", ""), ("LANG", "en_US.UTF-8")])));
    }

    #[test]
    fn both_ends_of_what_is_too_long_stay() {
        let canvas = Canvas { width: None, colour: false, unicode: true };
        assert_eq!(canvas.shorten("https://example.com/", 20), "https://example.com/");
        assert_eq!(canvas.shorten("https://example.com/", 9), "http…com/");
        assert_eq!(Canvas { unicode: false, ..canvas }.shorten("https://example.com/", 6), "htt~m/");
    }

    #[test]
    fn without_colours_there_is_no_control_code() {
        let canvas = Canvas { width: None, colour: false, unicode: true };
        assert_eq!(canvas.paint(Colour::Red, "x"), "x");
        assert_eq!(Canvas { colour: true, ..canvas }.paint(Colour::Red, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
