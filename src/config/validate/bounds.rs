//! Refuses a file that would take time or memory out of all proportion, before any parser sees it.

use super::problem::Problem;
use crate::config::yaml::limits::MOST_ENTRIES;

/// Counts what a parser would have to remember, without parsing: each key and each entry has one of these marks.
pub(in crate::config) fn check(text: &str) -> Result<(), Problem> {
    let bytes = text.as_bytes();
    // Wherever they stand they are quick to count, many at once, and nearly no file has so many.
    let marks_of = |piece: &[u8]| piece.iter().map(|byte| u8::from(is_mark(*byte))).sum::<u8>();
    if bytes.chunks(128).map(|piece| usize::from(marks_of(piece))).sum::<usize>() <= MOST_ENTRIES {
        return Ok(());
    }
    let mut marks = 0_usize;
    for (at, &byte) in bytes.iter().enumerate() {
        let before = || at.checked_sub(1).and_then(|before| bytes.get(before));
        let blank_next = || bytes.get(at + 1).is_none_or(|next| matches!(next, b' ' | b'\t' | b'\n' | b'\r'));
        match byte {
            b'[' | b'{' | b',' => marks += 1,
            b':' if blank_next()
                || before().is_some_and(|byte| matches!(byte, b'"' | b'\'' | b']' | b'}')) =>
            {
                marks += 1;
            }
            b'-' | b'?' if blank_next() => marks += 1,
            _ => {}
        }
        if marks > MOST_ENTRIES {
            let head = text.get(..at).unwrap_or_default();
            let line = head.bytes().filter(|byte| *byte == b'\n').count() + 1;
            let column = head.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let message = format!("the file has more than {MOST_ENTRIES} keys and entries");
            return Err(Problem::new(line, column, 1, message).expecting("a smaller file"));
        }
    }
    Ok(())
}

/// (Not `matches!`, which is compiled to jumps.)
fn is_mark(byte: u8) -> bool {
    [b'[', b'{', b',', b':', b'-', b'?'].into_iter().fold(false, |found, mark| found | (byte == mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_says_where() {
        let line = "- {a: 1, b: 2}\n";
        assert_eq!(check(&line.repeat(200_000)), Ok(()));
        let problem = check(&line.repeat(200_001)).unwrap_err();
        assert_eq!((problem.line, problem.column), (200_001, 1));
        assert_eq!(problem.message, "the file has more than 1000000 keys and entries");
    }
}
