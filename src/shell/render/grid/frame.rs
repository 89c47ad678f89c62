//! What is drawn around cells: frames, the rules between rows, and a row's line without its texts. Which cells there are and how wide
//! they are is the grid's.

/// What is drawn around cells.
pub(super) struct GridFrame {
    pub first: &'static str,
    pub between: &'static str,
    pub last: &'static str,
    pub above: Option<Rule>,
    pub below_names: Rule,
    pub between_rows: Option<Rule>,
    pub below: Option<Rule>,
}

pub(super) struct Rule {
    left: &'static str,
    fill: &'static str,
    cross: &'static str,
    right: &'static str,
}

const fn rule(left: &'static str, fill: &'static str, cross: &'static str, right: &'static str) -> Rule {
    Rule {
        left,
        fill,
        cross,
        right,
    }
}

pub(super) const BOX: GridFrame = GridFrame {
    first: "│ ",
    between: " │ ",
    last: " │\n",
    above: Some(rule("┌", "─", "┬", "┐\n")),
    below_names: rule("├", "─", "┼", "┤\n"),
    between_rows: Some(rule("├", "─", "┼", "┤\n")),
    below: Some(rule("└", "─", "┴", "┘\n")),
};

pub(super) const TABLE: GridFrame = GridFrame {
    first: "| ",
    between: " | ",
    last: " |\n",
    above: Some(rule("+", "-", "+", "+\n")),
    below_names: rule("+", "-", "+", "+\n"),
    between_rows: Some(rule("+", "-", "+", "+\n")),
    below: Some(rule("+", "-", "+", "+\n")),
};

pub(super) const MARKDOWN: GridFrame = GridFrame {
    first: "| ",
    between: " | ",
    last: " |\n",
    above: None,
    below_names: rule("|", "-", "|", "|\n"),
    between_rows: None,
    below: None,
};

pub(super) const COLUMN: GridFrame = GridFrame {
    first: "",
    between: "  ",
    last: "\n",
    above: None,
    below_names: rule("", "-", "  ", "\n"),
    between_rows: None,
    below: None,
};

/// The lines drawn across, made once.
pub(super) struct Rules {
    pub above: Vec<u8>,
    pub below_names: Vec<u8>,
    pub between_rows: Vec<u8>,
    pub below: Vec<u8>,
}

impl Rules {
    pub fn new(frame: &GridFrame, widths: &[usize], bare: bool) -> Self {
        let across = |rule: &Rule, around: usize| {
            let mut line = rule.left.as_bytes().to_vec();
            for (index, width) in widths.iter().enumerate() {
                if index > 0 {
                    line.extend_from_slice(rule.cross.as_bytes());
                }
                line.extend_from_slice(rule.fill.repeat(width + around).as_bytes());
            }
            line.extend_from_slice(rule.right.as_bytes());
            line
        };
        let framed = |rule: &Option<Rule>| rule.as_ref().map(|rule| across(rule, 2)).unwrap_or_default();
        let column = frame.first.is_empty();
        Self {
            above: framed(&frame.above),
            below_names: if bare {
                Vec::new()
            } else {
                across(&frame.below_names, if column { 0 } else { 2 })
            },
            between_rows: if column {
                b"\n".to_vec()
            } else {
                framed(&frame.between_rows)
            },
            below: framed(&frame.below),
        }
    }
}

/// A row's line with nothing in its cells: most rows are this one with their texts put in.
pub(super) struct BlankLine {
    pub text: Vec<u8>,
    /// Where each column begins in it.
    pub columns: Vec<usize>,
}

impl BlankLine {
    pub fn new(frame: &GridFrame, widths: &[usize]) -> Self {
        let mut text = frame.first.as_bytes().to_vec();
        let mut columns = Vec::with_capacity(widths.len());
        for (index, &width) in widths.iter().enumerate() {
            if index > 0 {
                text.extend_from_slice(frame.between.as_bytes());
            }
            columns.push(text.len());
            pad(&mut text, width);
        }
        text.extend_from_slice(frame.last.as_bytes());
        Self { text, columns }
    }
}

pub(super) fn pad(out: &mut Vec<u8>, cells: usize) {
    const BLANKS: [u8; 64] = [b' '; 64];
    match BLANKS.get(..cells) {
        Some(blanks) => out.extend_from_slice(blanks),
        None => out.resize(out.len() + cells, b' '),
    }
}
