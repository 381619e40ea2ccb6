//! Text in colours, whoever shows it: a stream of lines or a full screen.

use super::canvas::Canvas;

/// A colour of the terminal's own palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    Grey,
}

/// A line in pieces, each in one colour or in the terminal's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Painted(Vec<(Option<Colour>, String)>);

impl Painted {
    /// A text without colours.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self(vec![(None, text.into())])
    }

    /// A text in one colour.
    pub(super) fn of(colour: Colour, text: impl Into<String>) -> Self {
        Self(vec![(Some(colour), text.into())])
    }

    /// The line with a text behind it.
    pub(super) fn then(mut self, colour: impl Into<Option<Colour>>, text: &str) -> Self {
        self.push(colour, text);
        self
    }

    /// Adds a text at the end.
    pub(super) fn push(&mut self, colour: impl Into<Option<Colour>>, text: &str) {
        let colour = colour.into();
        match self.0.last_mut() {
            Some((last, before)) if *last == colour => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.0.push((colour, text.to_owned())),
        }
    }

    /// Adds another line at the end.
    pub(super) fn append(&mut self, other: &Self) {
        for (colour, text) in &other.0 {
            self.push(*colour, text);
        }
    }

    /// The pieces in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (Option<Colour>, &str)> {
        self.0.iter().map(|(colour, text)| (*colour, text.as_str()))
    }

    /// How many columns it takes.
    pub(super) fn columns(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// As it is written to a terminal, with its control codes where there are colours.
    pub(super) fn to_text(&self, canvas: Canvas) -> String {
        self.pieces()
            .map(|(colour, text)| colour.map_or_else(|| text.to_owned(), |colour| canvas.paint(colour, text)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_colour_are_one_piece() {
        let mut line = Painted::plain("a").then(None, "b").then(Colour::Red, "c").then(Colour::Green, "");
        line.append(&Painted::of(Colour::Red, "d"));
        assert_eq!(line.pieces().collect::<Vec<_>>(), [(None, "ab"), (Some(Colour::Red), "cd")]);
        assert_eq!(line.columns(), 4);
    }
}
