//! Shows clusters, services and servers with their rates on a terminal, again and again, until a key ends it.
//!
//! - `model`: what was read; `view`: what is shown of it, and what `keys` do; pure
//! - `draw`: the screens, with `columns`, `row`, `screens` and `palette`; pure
//! - `terminal`: keys, size and cells of a real terminal, and the thread that reads

mod columns;
mod draw;
mod keys;
mod model;
mod palette;
mod row;
mod screens;
mod sort;
mod terminal;
mod view;

pub use self::draw::{Beside, LINES_AROUND, draw, lines};
pub use self::keys::{Key, Outcome};
pub use self::model::{Model, TableReading};
pub use self::palette::Palette;
pub use self::sort::Sort;
pub use self::terminal::{Reading, Source, run};
pub use self::view::{Row, Screen, View, Wanted};
