//! Layouts of results, as they are drawn.

use super::*;

fn show(columns: usize, names: &[&str], rows: &[&[ValueRef<'_>]]) -> (String, bool) {
    let mut style = Style::default();
    prepare(&mut style);
    dress(&mut style, false, false);
    let fit = Fit::new(&style, columns).unwrap();
    let mut out = Vec::new();
    let mut screen = Screen::new(&fit, &mut out);
    let names: Vec<Column> = names
        .iter()
        .map(|name| Column {
            name: (*name).to_owned(),
            decltype: None,
        })
        .collect();
    screen.columns(&names).unwrap();
    for row in rows {
        let _ = screen.row(row).unwrap();
    }
    let shortened = screen.finish().unwrap();
    (String::from_utf8(out).unwrap(), shortened)
}

fn text(text: &str) -> ValueRef<'_> {
    ValueRef::Text(text.as_bytes())
}

#[test]
fn layout_of_what_fits_is_unchanged() {
    let (shown, shortened) = show(
        80,
        &["id", "name"],
        &[&[ValueRef::Integer(1), text("abc")], &[ValueRef::Null, text("")]],
    );
    assert!(!shortened);
    assert!(
        shown.contains("│    1 │ abc  │") && shown.contains("│ NULL │      │"),
        "{shown}"
    );
}

#[test]
fn layout_shortens_long_cells_and_never_numbers() {
    let long = "x".repeat(200);
    let wide = "日本".repeat(40);
    let row = [ValueRef::Integer(1_234_567_890_123), text(&long), text(&wide)];
    let (shown, shortened) = show(60, &["number", "text", "wide"], &[&row]);
    assert!(shortened);
    assert!(shown.contains("1234567890123") && shown.contains('…'), "{shown}");
    assert!(shown.lines().all(|line| line.width() <= 60), "{shown}");
}

#[test]
fn layout_counts_direction_marks_as_wide_as_they_are_shown() {
    let marks = "a\u{200e}".repeat(12);
    let (shown, shortened) = show(40, &["t"], &[&[text(&marks)]]);
    assert!(shortened);
    assert!(shown.lines().all(|line| line.width() <= 40), "{shown}");
    let (shown, _) = show(40, &["t"], &[&[text("a\0b")]]);
    assert!(shown.contains("a␀b"), "{shown}");
}

#[test]
fn layout_of_too_many_columns_is_one_a_line() {
    let names: Vec<String> = (0..30).map(|index| format!("a_rather_long_name_{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let row = vec![text("some text of some length"); 30];
    let (shown, shortened) = show(80, &names, &[&row]);
    assert!(!shortened);
    assert!(shown.lines().count() >= 30, "{shown}");
    assert!(shown.contains("a_rather_long_name_29"), "{shown}");
}

#[test]
fn layout_shows_blobs_as_hexadecimal_and_escapes_harmless() {
    let (shown, _) = show(
        80,
        &["b", "t"],
        &[
            &[ValueRef::Blob(&[0, 255]), text("\x1b[2Jx")],
            &[ValueRef::Blob(&[7; 100]), ValueRef::Null],
        ],
    );
    assert!(shown.contains("x'00ff'") && shown.contains("(100 bytes)"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
}

#[test]
fn layout_shows_rows_after_the_sample() {
    let mut style = Style::default();
    prepare(&mut style);
    dress(&mut style, false, false);
    let fit = Fit::new(&style, 40).unwrap();
    let mut out = Vec::new();
    let mut screen = Screen::new(&fit, &mut out);
    screen
        .columns(&[Column {
            name: "t".into(),
            decltype: None,
        }])
        .unwrap();
    for _ in 0..SAMPLE * 2 {
        let _ = screen.row(&[text("short")]).unwrap();
    }
    let long = "y".repeat(100);
    let _ = screen.row(&[text(&long)]).unwrap();
    assert!(screen.finish().unwrap());
    let shown = String::from_utf8(out).unwrap();
    assert_eq!(shown.matches("short").count(), SAMPLE * 2);
    assert!(shown.lines().all(|line| line.width() <= 40));
}

#[test]
fn layout_that_a_user_chose_is_kept() {
    let style = |change: fn(&mut Style)| {
        let mut style = Style::default();
        prepare(&mut style);
        dress(&mut style, false, false);
        change(&mut style);
        Fit::new(&style, 80).is_some()
    };
    assert!(style(|_| {}));
    assert!(style(|style| assert!(style.preset("table"))));
    assert!(!style(|style| style.widths = vec![5]));
    assert!(!style(|style| style.wrap = 20));
    assert!(!style(|style| assert!(style.preset("csv"))));
}
