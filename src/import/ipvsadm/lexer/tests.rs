//! Takes scripts apart.

use super::*;

fn text(text: &str, quoted: bool) -> Part {
    Part::Text(text.to_owned(), quoted)
}

fn variable(name: &str, default: Option<&str>, quoted: bool) -> Part {
    Part::Variable { name: name.to_owned(), default: default.map(str::to_owned), quoted }
}

fn word(parts: impl Into<Vec<Part>>) -> Token {
    Token::Word(Word { parts: parts.into() })
}

#[test]
fn a_script_is_taken_apart_as_a_shell_does() {
    let script = "A=\"x y\" # a comment\nipvsadm -A -t $VIP:${PORT:-80} \\\n  -s 'r'r 2>/dev/null && echo `date` $(id (x)) $1;\n";
    assert_eq!(
        tokens(script),
        [
            (1, word([text("A=", false), text("x y", true)])),
            (1, Token::Newline),
            (2, word([text("ipvsadm", false)])),
            (2, word([text("-A", false)])),
            (2, word([text("-t", false)])),
            (2, word([variable("VIP", None, false), text(":", false), variable("PORT", Some("80"), false)])),
            (3, word([text("-s", false)])),
            (3, word([text("r", true), text("r", false)])),
            (3, Token::Redirect(">", Word { parts: vec![text("/dev/null", false)] })),
            (3, Token::Operator("&&")),
            (3, word([text("echo", false)])),
            (3, word([Part::Computed("`date`".to_owned())])),
            (3, word([Part::Computed("$(id (x))".to_owned())])),
            (3, word([Part::Computed("$1".to_owned())])),
            (3, Token::Operator(";")),
            (3, Token::Newline),
        ]
    );
}

#[test]
fn lines_behind_a_command_are_its_input() {
    let here = HereDocument { line: 2, lines: vec!["-A -t 1.2.3.4:5".to_owned()], expands: false };
    assert_eq!(
        tokens("ipvsadm -R <<'END'\n-A -t 1.2.3.4:5\nEND\nx"),
        [
            (1, word([text("ipvsadm", false)])),
            (1, word([text("-R", false)])),
            (1, Token::Here(here)),
            (1, Token::Newline),
            (4, word([text("x", false)])),
        ]
    );
}

#[test]
fn an_open_quote_costs_its_line_only() {
    let x = || word([text("x", false)]);
    assert_eq!(
        tokens("x; echo \"a\nx"),
        [(1, x()), (1, Token::Operator(";")), (1, Token::OpenQuote('"')), (1, Token::Newline), (2, x())]
    );
}
