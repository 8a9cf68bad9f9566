//! Names the keys that mean something, and what can follow from one.

/// A key, or what several keys mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The row above
    Up,
    /// The row below
    Down,
    /// A screen up
    PageUp,
    /// A screen down
    PageDown,
    /// The first row
    Home,
    /// The last row
    End,
    /// Folds, or opens a server
    Enter,
    /// Ends what was begun
    Escape,
    /// Folds, or goes back
    Left,
    /// Unfolds, or opens a server
    Right,
    /// Takes away the last letter
    Backspace,
    /// Ctrl-C
    Interrupt,
    /// A letter
    Letter(char),
}

/// What follows from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on, perhaps with another screen
    GoOn,
    /// The program ends
    End,
}
