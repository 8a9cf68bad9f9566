//! Chooses the colours of the cells, or none.

use ratatui::style::{Color, Modifier, Style};

/// The colours, or none; 16 suffice.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    /// Whether there are colours
    pub is_coloured: bool,
}

impl Palette {
    /// Text in a colour.
    pub(super) fn colour(self, colour: Color) -> Style {
        if self.is_coloured { Style::new().fg(colour) } else { Style::new() }
    }

    /// The colour of a state of servers.
    pub(super) fn state(self, state: &str) -> Style {
        match state {
            "serving" => self.colour(Color::Green),
            "failing" | "missing" => self.colour(Color::Red).add_modifier(Modifier::BOLD),
            "quiesced" | "waiting" => self.colour(Color::Yellow),
            "draining" => self.colour(Color::Cyan),
            _ => Style::new(),
        }
    }
}
