//! What there is to say of a line that was converted, and where in the desired file it is said.

use std::fmt;

/// What there is to say of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file that the line is in
    pub file: String,
    /// Its number, from 1
    pub line: usize,
    /// The line as it is
    pub text: String,
    /// What there is to say: the cause, and what to do
    pub message: String,
    /// Whether something is lost
    pub effect: Effect,
    /// Where the comment belongs
    pub place: Place,
}

/// What a finding means for the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The desired file does something else than the configuration did: exit code 2
    Lost,
    /// What was never lbd's, or what the other program ignored as well
    Note,
}

/// Where in the desired file a comment belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At its head
    Head,
    /// Before the cluster of this position; behind the last one where there is none
    Before(usize),
}

/// `FILE:LINE: message: text`, in one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.message, self.text.trim())
    }
}

impl Finding {
    /// The comment in the desired file.
    pub fn comment(&self) -> String {
        match self.effect {
            Effect::Lost => format!("Left out: {self}"),
            Effect::Note => format!("Note: {self}"),
        }
    }
}
