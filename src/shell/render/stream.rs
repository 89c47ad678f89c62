//! The modes that write each row as it comes: nothing is kept but what repeats in every row.

use super::text::{self, CsvRule, LineEnds};
use super::{Escape, Mode, Style, wrap};
use crate::sql::number;
use crate::sql::{Column, ValueRef};

/// A result in a streaming mode.
pub struct RowStream {
    mode: Mode,
    names: Vec<Vec<u8>>,
    /// What comes before each value of a row and never changes: a JSON key, a name padded for line mode.
    leads: Vec<Vec<u8>>,
    csv: CsvRule,
    rows: u64,
    scratch: Vec<u8>,
}

impl RowStream {
    pub fn new(style: &Style, columns: &[Column]) -> Self {
        let mut scratch = Vec::new();
        let names: Vec<Vec<u8>> = columns
            .iter()
            .map(|column| text::visible(column.name.as_bytes(), style.escape, &mut scratch).to_vec())
            .collect();
        Self {
            mode: style.mode,
            leads: leads(style, &names, columns),
            names,
            csv: CsvRule::new(&style.column_separator),
            rows: 0,
            scratch,
        }
    }

    /// Appends a row.
    pub fn row(&mut self, style: &Style, row: &[ValueRef<'_>], out: &mut Vec<u8>) {
        if self.rows == 0 && style.headers {
            self.header(style, out);
        }
        match self.mode {
            Mode::Csv => self.separated(style, row, out, CsvRule::push_if_plain, CsvRule::push),
            Mode::List | Mode::Ascii => self.separated(
                style,
                row,
                out,
                |_, out, field| text::push_if_plain(out, field, &text::NO_BYTE),
                |_, out, field| out.extend_from_slice(field),
            ),
            Mode::Tcl => self.tcl(style, row, out),
            Mode::Quote => {
                let line_ends = LineEnds::Raw;
                join(row, &style.column_separator, out, |&value, out| {
                    text::push_sql(out, value, line_ends)
                });
                out.extend_from_slice(style.row_separator.as_bytes());
            }
            Mode::Insert => {
                let line_ends = if style.raw_newlines {
                    LineEnds::Raw
                } else {
                    LineEnds::Replaced
                };
                out.extend_from_slice(self.leads.first().map_or(&[], Vec::as_slice));
                join(row, ",", out, |&value, out| text::push_sql(out, value, line_ends));
                out.extend_from_slice(b");\n");
            }
            Mode::Json => {
                out.extend_from_slice(if self.rows == 0 { b"[{" } else { b",\n{" });
                self.json(row, out);
            }
            Mode::Jsonl => {
                out.push(b'{');
                self.json(row, out);
                out.push(b'\n');
            }
            Mode::Line => self.line(style, row, out),
            Mode::Vertical => self.vertical(style, row, out),
            Mode::Html => {
                self.html(row.len(), "TD", out, |stream, index, out| {
                    stream.text(style, row[index], out, text::push_html)
                });
            }
            Mode::Count | Mode::Off | Mode::Box | Mode::Column | Mode::Markdown | Mode::Table => {}
        }
        self.rows += 1;
    }

    /// Appends what closes a result. Without rows most modes show nothing at all.
    pub fn finish(&mut self, style: &Style, out: &mut Vec<u8>) {
        match self.mode {
            Mode::Json if self.rows == 0 && style.shows_empty && !self.names.is_empty() => {
                out.extend_from_slice(b"[]\n")
            }
            Mode::Csv if self.rows == 0 && style.shows_empty && style.headers && !self.names.is_empty() => {
                self.header(style, out)
            }
            Mode::Json if self.rows > 0 => out.extend_from_slice(b"]\n"),
            Mode::Count if self.rows > 0 => {
                number::push_integer(out, i64::try_from(self.rows).unwrap_or(i64::MAX));
                out.extend_from_slice(if self.rows == 1 { b" row\n" } else { b" rows\n" });
            }
            _ => {}
        }
    }

    fn header(&mut self, style: &Style, out: &mut Vec<u8>) {
        let separator = &style.column_separator;
        let names = &self.names;
        match self.mode {
            Mode::List | Mode::Ascii => join(names, separator, out, |name, out| out.extend_from_slice(name)),
            Mode::Csv => join(names, separator, out, |name, out| self.csv.push(out, name)),
            Mode::Tcl => join(names, separator, out, |name, out| text::push_c(out, name)),
            Mode::Quote => join(names, separator, out, |name, out| {
                text::push_sql_text(out, name, LineEnds::Raw)
            }),
            Mode::Html => {
                self.html(self.names.len(), "TH", out, |stream, index, out| {
                    text::push_html(out, &stream.names[index])
                });
                return;
            }
            _ => return,
        }
        out.extend_from_slice(style.row_separator.as_bytes());
    }

    /// Appends a value as text through `push`, which quotes it as the mode wants. Numbers and NULL go through it too.
    fn text(&mut self, style: &Style, value: ValueRef<'_>, out: &mut Vec<u8>, push: impl Fn(&mut Vec<u8>, &[u8])) {
        match value {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                push(out, text::visible(bytes, style.escape, &mut self.scratch));
            }
            ValueRef::Null if style.dim_null => push_dim(out, style.null.as_bytes()),
            ValueRef::Null => push(out, style.null.as_bytes()),
            ValueRef::Integer(_) | ValueRef::Real(_) => {
                self.scratch.clear();
                push_number(&mut self.scratch, value);
                push(out, &self.scratch);
            }
        }
    }

    /// List, csv and ascii: values that need no quotes unless they are text. `push_if_plain` may leave a text to `push`.
    fn separated(
        &mut self,
        style: &Style,
        row: &[ValueRef<'_>],
        out: &mut Vec<u8>,
        push_if_plain: impl Fn(&CsvRule, &mut Vec<u8>, &[u8]) -> bool,
        push: impl Fn(&CsvRule, &mut Vec<u8>, &[u8]),
    ) {
        let separator = style.column_separator.as_bytes();
        for (index, &value) in row.iter().enumerate() {
            if index > 0 {
                push_short(out, separator);
            }
            match value {
                ValueRef::Integer(_) | ValueRef::Real(_) if self.mode == Mode::Csv && self.csv.numbers => {
                    self.scratch.clear();
                    push_number(&mut self.scratch, value);
                    self.csv.push(out, &self.scratch);
                }
                ValueRef::Integer(integer) => number::push_integer(out, integer),
                ValueRef::Real(real) => number::push_rounded(out, real),
                ValueRef::Null if style.dim_null => push_dim(out, style.null.as_bytes()),
                ValueRef::Null => out.extend_from_slice(style.null.as_bytes()),
                ValueRef::Text(bytes) if style.escape == Escape::Off && push_if_plain(&self.csv, out, bytes) => {}
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    push(&self.csv, out, text::visible(bytes, style.escape, &mut self.scratch));
                }
            }
        }
        push_short(out, style.row_separator.as_bytes());
    }

    fn tcl(&mut self, style: &Style, row: &[ValueRef<'_>], out: &mut Vec<u8>) {
        for (index, &value) in row.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(style.column_separator.as_bytes());
            }
            self.text(style, value, out, text::push_c);
        }
        out.extend_from_slice(style.row_separator.as_bytes());
    }

    fn json(&self, row: &[ValueRef<'_>], out: &mut Vec<u8>) {
        for (lead, &value) in self.leads.iter().zip(row) {
            out.extend_from_slice(lead);
            match value {
                ValueRef::Null => out.extend_from_slice(b"null"),
                ValueRef::Integer(integer) => number::push_integer(out, integer),
                ValueRef::Real(real) if real.is_nan() => out.extend_from_slice(b"null"),
                ValueRef::Real(real) => number::push_exact(out, real),
                ValueRef::Text(bytes) => text::push_json(out, bytes),
                ValueRef::Blob(bytes) => text::push_json_blob(out, bytes),
            }
        }
        out.push(b'}');
    }

    fn line(&mut self, style: &Style, row: &[ValueRef<'_>], out: &mut Vec<u8>) {
        if self.rows > 0 {
            out.extend_from_slice(style.row_separator.as_bytes());
        }
        for (index, &value) in row.iter().enumerate() {
            out.extend_from_slice(&self.leads[index]);
            self.text(style, value, out, |out, text| out.extend_from_slice(text));
            push_short(out, style.row_separator.as_bytes());
        }
    }

    /// A numbered rule, then a line for each value; further lines of a value are set below its first.
    fn vertical(&mut self, style: &Style, row: &[ValueRef<'_>], out: &mut Vec<u8>) {
        out.extend_from_slice(b"-[ ");
        number::push_integer(out, i64::try_from(self.rows + 1).unwrap_or(i64::MAX));
        out.extend_from_slice(b" ]---------\n");
        for (index, &value) in row.iter().enumerate() {
            let lead = self.leads[index].clone();
            out.extend_from_slice(&lead);
            let margin = wrap::width(&lead, 0).saturating_sub(2);
            self.text(style, value, out, |out, text| {
                let mut lines = text.split(|&byte| byte == b'\n');
                out.extend_from_slice(lines.next().unwrap_or_default());
                for line in lines {
                    out.push(b'\n');
                    out.extend(std::iter::repeat_n(b' ', margin));
                    out.extend_from_slice(b"| ");
                    out.extend_from_slice(line);
                }
            });
            out.push(b'\n');
        }
    }

    fn html(
        &mut self,
        columns: usize,
        tag: &str,
        out: &mut Vec<u8>,
        mut push: impl FnMut(&mut Self, usize, &mut Vec<u8>),
    ) {
        out.extend_from_slice(b"<TR>");
        for index in 0..columns {
            for part in ["<", tag, ">"] {
                out.extend_from_slice(part.as_bytes());
            }
            push(self, index, out);
            for part in ["</", tag, ">\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.extend_from_slice(b"</TR>\n");
    }
}

/// What comes before each value, made once.
fn leads(style: &Style, names: &[Vec<u8>], columns: &[Column]) -> Vec<Vec<u8>> {
    let widest = |least: usize| {
        names
            .iter()
            .map(|name| wrap::width(name, 0))
            .max()
            .unwrap_or(0)
            .max(least)
    };
    let blanks = |name: &[u8], width: usize| std::iter::repeat_n(b' ', width.saturating_sub(wrap::width(name, 0)));
    match style.mode {
        Mode::Json | Mode::Jsonl => columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let mut lead = if index > 0 { vec![b','] } else { Vec::new() };
                text::push_json(&mut lead, column.name.as_bytes());
                lead.push(b':');
                lead
            })
            .collect(),
        Mode::Line => {
            let width = widest(5);
            let lead = |name: &Vec<u8>| blanks(name, width).chain(name.iter().copied()).chain(*b" = ").collect();
            names.iter().map(lead).collect()
        }
        Mode::Vertical => {
            let width = widest(0);
            let lead = |name: &Vec<u8>| name.iter().copied().chain(blanks(name, width)).chain(*b" | ").collect();
            names.iter().map(lead).collect()
        }
        Mode::Insert => {
            let mut lead = b"INSERT INTO ".to_vec();
            text::push_name(&mut lead, style.insert_table.as_bytes());
            if style.headers {
                lead.push(b'(');
                join(columns, ",", &mut lead, |column, lead| {
                    text::push_name(lead, column.name.as_bytes())
                });
                lead.push(b')');
            }
            lead.extend_from_slice(b" VALUES(");
            vec![lead]
        }
        _ => Vec::new(),
    }
}

/// Appends `items` with a separator between them.
fn join<T>(items: &[T], separator: &str, out: &mut Vec<u8>, mut push: impl FnMut(&T, &mut Vec<u8>)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            push_short(out, separator.as_bytes());
        }
        push(item, out);
    }
}

/// Appends a separator: nearly always one byte.
fn push_short(out: &mut Vec<u8>, bytes: &[u8]) {
    if let [byte] = bytes {
        out.push(*byte)
    } else {
        out.extend_from_slice(bytes)
    }
}

/// Appends a number as text modes show it; nothing for other values.
pub fn push_number(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Integer(integer) => number::push_integer(out, integer),
        ValueRef::Real(real) => number::push_rounded(out, real),
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => {}
    }
}

/// Appends NULL in faint letters.
pub fn push_dim(out: &mut Vec<u8>, null: &[u8]) {
    out.extend_from_slice(b"\x1b[2m");
    out.extend_from_slice(null);
    out.extend_from_slice(b"\x1b[0m");
}
