//! Messages that a person can read, whatever the input held: not too long, and without characters that steer a terminal.

use std::borrow::Cow;

/// Characters of a line, and of a message, that are shown at most.
const LONGEST_LINE: usize = 600;
const LONGEST: usize = 4_000;

/// The message without the middle of what is too long: a field of an input file, a list of names, the line of a file.
/// Control characters are written as their escapes.
pub(super) fn shortened(message: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !message.contains(steers) {
        return without_middles(message);
    }
    let mut harmless = String::with_capacity(message.len());
    for c in message.chars() {
        if steers(c) {
            harmless.extend(c.escape_default());
        } else {
            harmless.push(c);
        }
    }
    without_middles(&harmless).into_owned().into()
}

fn without_middles(message: &str) -> Cow<'_, str> {
    if message.len() <= LONGEST_LINE {
        return Cow::Borrowed(message);
    }
    let lines: Vec<_> = message
        .lines()
        .map(|line| without_middle(line, LONGEST_LINE))
        .collect();
    if lines.iter().all(|line| matches!(line, Cow::Borrowed(_))) {
        return without_middle(message, LONGEST);
    }
    without_middle(&lines.join("\n"), LONGEST)
        .into_owned()
        .into()
}

fn without_middle(text: &str, longest: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= longest {
        return Cow::Borrowed(text);
    }
    // The end of a message says what is wrong, the beginning with what.
    let (start, end) = (longest / 2, longest / 3);
    let at = |index| {
        text.char_indices()
            .nth(index)
            .map_or(text.len(), |(at, _)| at)
    };
    let left_out = count - start - end;
    let (start, end) = (&text[..at(start)], &text[at(count - end)..]);
    Cow::Owned(format!(
        "{start} … ({left_out} characters left out) … {end}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_reads_stays_as_it_is() {
        for message in [
            "",
            "error: a",
            "two\nlines\n",
            &"many lines of a message\n".repeat(50),
        ] {
            assert!(matches!(shortened(message), Cow::Borrowed(same) if same == message));
        }
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let short = shortened("a\tb\n\u{1b}[31mred\r\u{9b}1m");
        assert_eq!(short, "a\tb\n\\u{1b}[31mred\\r\\u{9b}1m");
    }

    #[test]
    fn the_middle_of_long_fields_is_left_out() {
        let field = "é".repeat(100_000);
        for message in [
            format!("error: {field}: unknown tensor"),
            format!("error: at line 1\n1 | {field}\n  | ^\nerror: unknown tensor"),
            format!("error: {}unknown tensor", "a\n".repeat(50_000)),
        ] {
            let short = shortened(&message);
            assert!(short.chars().count() <= LONGEST, "{short}");
            assert!(short.starts_with("error: ") && short.ends_with("unknown tensor"));
            assert!(short.contains("characters left out"), "{short}");
        }
    }
}
