//! `--watch`: the terminal as a screen while probes are under way. Here are the terminal, its keys and the pace; what is shown is
//! decided in [`scene`], [`screen`] and [`smoke`].

mod scene;
mod screen;
mod smoke;

use super::{args::Plan, canvas::Canvas, tally::Tally};
use crate::sample::Sample;
use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use ratatui::DefaultTerminal;
use scene::{Command, Scene};
use std::{io, time::Duration};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// How often the screen is drawn anew.
const PACE: Duration = Duration::from_millis(250);

/// What the person at the terminal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// To see what there is now.
    Draw,
    /// To end.
    Quit,
}

/// The screen. The terminal is as it was when this is dropped, or when the process panics.
pub(super) struct Watch {
    terminal: DefaultTerminal,
    events: EventStream,
    pace: Interval,
    started: Instant,
    scene: Scene,
    canvas: Canvas,
}

impl Watch {
    /// Takes the terminal.
    pub(super) fn open(plan: &Plan) -> io::Result<Self> {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Ok(Self {
            terminal: ratatui::try_init()?,
            events: EventStream::new(),
            pace,
            started: Instant::now(),
            scene: Scene::new(plan),
            canvas: Canvas::stdout(plan.color),
        })
    }

    /// One probe has landed, and was counted.
    pub(super) fn step(&mut self, subject: usize, turn: u32, sample: &Sample) {
        self.scene.land(subject, turn, sample);
    }

    /// Waits for a key, another size, or the time to draw anew. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> io::Result<Next> {
        loop {
            let event = tokio::select! {
                _now = self.pace.tick() => return Ok(Next::Draw),
                event = self.events.next() => event,
            };
            match event.transpose()? {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    match command(key.code, key.modifiers) {
                        Some(Wish::Quit) => return Ok(Next::Quit),
                        Some(Wish::Change(command)) => {
                            self.scene.obey(command);
                            return Ok(Next::Draw);
                        }
                        None => {}
                    }
                }
                Some(Event::Resize(..)) => return Ok(Next::Draw),
                Some(_) => {}
                // The terminal is gone.
                None => return Ok(Next::Quit),
            }
        }
    }

    /// Shows what there is.
    pub(super) fn draw(&mut self, tally: &Tally) -> io::Result<()> {
        let (scene, canvas, elapsed) = (&self.scene, self.canvas, self.started.elapsed());
        self.terminal.draw(|frame| screen::draw(frame, scene, tally, elapsed, canvas)).map(drop)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Quit,
    Change(Command),
}

/// In raw mode an interrupt is a key, too.
fn command(code: KeyCode, modifiers: KeyModifiers) -> Option<Wish> {
    let change = |command| Some(Wish::Change(command));
    if modifiers.contains(KeyModifiers::CONTROL) {
        return (code == KeyCode::Char('c')).then_some(Wish::Quit);
    }
    if [KeyCode::Char('q'), KeyCode::Esc].contains(&code) {
        Some(Wish::Quit)
    } else if [KeyCode::Up, KeyCode::Char('k')].contains(&code) {
        change(Command::Previous)
    } else if [KeyCode::Down, KeyCode::Char('j'), KeyCode::Tab].contains(&code) {
        change(Command::Following)
    } else if [KeyCode::Left, KeyCode::Char('h'), KeyCode::Char('-')].contains(&code) {
        change(Command::Wider)
    } else if [KeyCode::Right, KeyCode::Char('l'), KeyCode::Char('+')].contains(&code) {
        change(Command::Closer)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
