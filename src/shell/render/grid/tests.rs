//! How rows are held until they are written, and the lines around them.

use super::*;

fn rule_lines(frame: &GridFrame, widths: &[usize]) -> [String; 4] {
    let rules = Rules::new(frame, widths, false);
    [rules.above, rules.below_names, rules.between_rows, rules.below].map(|line| String::from_utf8(line).unwrap())
}

#[test]
fn grid_cells_of_any_length_are_read_as_they_were_kept() {
    let lengths = [0, 1, 15, 16, 17, 127, 128, 2047, 2048, 300_000];
    let mut chunk = Vec::new();
    for (turn, length) in lengths.iter().enumerate() {
        keep(&mut chunk, &vec![b'a' + turn as u8; *length], turn % 8);
    }
    let mut rest = chunk.as_slice();
    for (turn, length) in lengths.iter().enumerate() {
        let (cell, after) = next_cell(rest).unwrap();
        assert_eq!(cell.flags, turn % 8, "{length}");
        assert_eq!(cell.rest, Some(vec![b'a' + turn as u8; *length].as_slice()), "{length}");
        rest = after;
    }
    assert!(rest.is_empty() && next_cell(rest).is_none());
}

#[test]
fn grid_cell_that_is_cut_off_is_none() {
    let mut chunk = Vec::new();
    keep(&mut chunk, &[b'x'; 200], NUMBER);
    for end in 0..chunk.len() {
        assert!(next_cell(&chunk[..end]).is_none(), "{end}");
    }
    assert!(next_cell(&chunk).is_some());
}

#[test]
fn grid_rules_are_as_wide_as_their_columns() {
    assert_eq!(
        rule_lines(&BOX, &[1, 3]),
        ["┌───┬─────┐\n", "├───┼─────┤\n", "├───┼─────┤\n", "└───┴─────┘\n"]
    );
    assert_eq!(
        rule_lines(&TABLE, &[1, 0]),
        ["+---+--+\n", "+---+--+\n", "+---+--+\n", "+---+--+\n"]
    );
    assert_eq!(rule_lines(&MARKDOWN, &[2]), ["", "|----|\n", "", ""]);
    // Columns without a frame have nothing beside them.
    assert_eq!(rule_lines(&COLUMN, &[2, 3]), ["", "--  ---\n", "\n", ""]);
    assert!(Rules::new(&COLUMN, &[2, 3], true).below_names.is_empty());
}

#[test]
fn grid_aligns_negative_widths_and_numbers_to_the_right() {
    let style = |widths: &[i32], numbers_right| Style {
        widths: widths.to_vec(),
        numbers_right,
        ..Style::default()
    };
    assert!(align_right(&style(&[5, -5], false), 1, 0));
    assert!(!align_right(&style(&[5, -5], false), 0, NUMBER));
    assert!(align_right(&style(&[], true), 3, NUMBER));
    assert!(!align_right(&style(&[], true), 3, NULL));
}

#[test]
fn grid_padding_of_any_width_is_blank() {
    for cells in [0, 1, 63, 64, 65, 200] {
        let mut out = b"x".to_vec();
        pad(&mut out, cells);
        assert_eq!(out, format!("x{}", " ".repeat(cells)).into_bytes());
    }
}

#[test]
fn grid_quotes_values_as_literals() {
    for (value, literal) in [
        (ValueRef::Null, "NULL"),
        (ValueRef::Integer(-7), "-7"),
        (ValueRef::Real(0.5), "0.5"),
        (ValueRef::Text(b"it's"), "'it''s'"),
        (ValueRef::Text(b"a\0b"), "CAST(X'610062' AS TEXT)"),
        (ValueRef::Blob(b"\x00\xff"), "x'00ff'"),
    ] {
        let mut out = Vec::new();
        push_quoted(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), literal);
    }
}
