//! Fits a text into a terminal, so that the next one can be drawn over it without a flicker.

/// Moves the cursor to the begin of the first line.
const HOME: &str = "\x1b[H";
/// Erases the rest of a line.
const END_OF_LINE: &str = "\x1b[K";
/// Erases what is below the cursor.
const END_OF_SCREEN: &str = "\x1b[J";
/// Ends all styles.
const PLAIN: &str = "\x1b[0m";

/// The bytes that draw `text` over what the terminal shows: each line cut to `columns`, and as many as `rows` has room for, with the
/// number of the others. The cursor is below the last line then, and nothing has scrolled.
pub fn frame(text: &str, rows: usize, columns: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // Behind the last line there is the cursor.
    let room = rows.saturating_sub(1).max(1);
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    let mut drawn = String::from(HOME);
    let mut draw = |line: &str| {
        drawn.push_str(&cut(line, columns));
        drawn.push_str(END_OF_LINE);
        drawn.push('\n');
    };
    lines.iter().take(shown).for_each(|line| draw(line));
    if lines.len() > shown {
        draw(&format!("… {} more lines", lines.len() - shown));
    }
    drawn.push_str(END_OF_SCREEN);
    drawn
}

/// What moves the text of a terminal up and out of sight, but into its memory, before the first frame.
pub fn clear(rows: usize) -> String {
    "\n".repeat(rows)
}

/// The begin of a line that fits into the columns but the last: some terminals begin a new line as soon as that is written.
fn cut(line: &str, columns: usize) -> String {
    let mut room = columns.saturating_sub(1);
    let mut text = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\x1b' {
            // A style, which takes no room; it ends with a letter.
            text.push(letter);
            for letter in letters.by_ref() {
                text.push(letter);
                if letter.is_ascii_alphabetic() {
                    break;
                }
            }
            continue;
        }
        // From Hangul on there are letters that take two columns; where one takes only one, the line is a little shorter.
        let width = if letter < '\u{1100}' { 1 } else { 2 };
        let Some(rest) = room.checked_sub(width) else {
            text.push_str(PLAIN);
            return text;
        };
        room = rest;
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_drawn_over_the_one_before_it() {
        assert_eq!(frame("one\ntwo\n", 24, 80), "\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J");
        assert_eq!(frame("", 24, 80), "\x1b[H\x1b[J");
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let text = "1\n2\n3\n4\n";
        assert_eq!(frame(text, 5, 80), "\x1b[H1\x1b[K\n2\x1b[K\n3\x1b[K\n4\x1b[K\n\x1b[J");
        assert_eq!(frame(text, 4, 80), "\x1b[H1\x1b[K\n2\x1b[K\n… 2 more lines\x1b[K\n\x1b[J");
        for rows in [0, 1, 2] {
            assert_eq!(frame(text, rows, 80), "\x1b[H… 4 more lines\x1b[K\n\x1b[J", "{rows}");
        }
    }

    #[test]
    fn a_line_never_reaches_the_last_column_and_no_style_is_left_open() {
        assert_eq!(cut("abcdef", 7), "abcdef");
        assert_eq!(cut("abcdef", 6), "abcde\x1b[0m");
        assert_eq!(cut("\x1b[1mab\x1b[0mcd", 5), "\x1b[1mab\x1b[0mcd");
        assert_eq!(cut("\x1b[1mabcdef\x1b[0m", 4), "\x1b[1mabc\x1b[0m");
        assert_eq!(cut("負荷分散", 6), "負荷\x1b[0m");
        assert_eq!(cut("abc", 0), "\x1b[0m");
    }
}
