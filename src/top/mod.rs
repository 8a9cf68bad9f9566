//! Shows clusters, services and servers with their rates on a terminal, again and again, until a key ends it.
//!
//! - `model`: what was read; `view`: what is shown of it, and what a key does; pure
//! - `draw`: the screens, with `columns`, `row` and `screens`; pure
//! - `terminal`: keys, size and cells of a real terminal, and the thread that reads

mod columns;
mod draw;
mod model;
mod row;
mod screens;
mod terminal;
mod view;

pub use self::draw::{Beside, LINES_AROUND, Palette, draw, lines};
pub use self::model::{Model, TableReading};
pub use self::terminal::{Reading, Source, run};
pub use self::view::{Key, Outcome, Row, Screen, Sort, View, Wanted};
