//! Plain tables for the terminal.

/// Rows under a heading, columns two spaces apart; the first column is flush left, the others flush right.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let heading = heading.map(str::to_owned);
    let all = || std::iter::once(&heading).chain(rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = all().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    });
    let lines = all().map(|row| {
        let cells = row.iter().zip(widths).enumerate();
        let padded = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["α".to_owned(), "10".to_owned()],
            ["long".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            super::table(["n", "x"], &rows),
            "n      x\nα     10\nlong   2"
        );
    }
}
