//! Query plans as trees, and programs in columns: what `EXPLAIN` gives.

use super::Style;
use crate::sql::{Column, Sink, ValueRef};
use std::io::{self, Write};
use std::ops::ControlFlow;

/// Deeper branches are not shown.
const DEEPEST: usize = 93;

/// The rows of `EXPLAIN QUERY PLAN`, drawn as a tree at the end.
#[derive(Debug, Default)]
pub struct Tree {
    /// Node, parent, text.
    nodes: Vec<(i64, i64, String)>,
    text: Vec<u8>,
}

impl Tree {
    fn draw(&self, parent: i64, prefix: &str, out: &mut dyn Write) -> io::Result<()> {
        let mut children = self.nodes.iter().filter(|(_, above, _)| *above == parent).peekable();
        while let Some((node, _, text)) = children.next() {
            let last = children.peek().is_none();
            writeln!(out, "{prefix}{}{text}", if last { "`--" } else { "|--" })?;
            // A node that is its own parent cannot come from SQLite, but would never end.
            if prefix.len() < DEEPEST && *node != parent {
                self.draw(*node, &format!("{prefix}{}", if last { "   " } else { "|  " }), out)?;
            }
        }
        Ok(())
    }

    fn end_tree(&mut self) -> io::Result<()> {
        let Some((_, _, first)) = self.nodes.first() else {
            return Ok(());
        };
        let mut text = std::mem::take(&mut self.text);
        if first.starts_with('-') {
            if self.nodes.len() == 1 {
                self.nodes.clear();
                self.text = text;
                return Ok(());
            }
            writeln!(text, "{}", first.get(3..).unwrap_or_default())?;
            self.nodes.remove(0);
        } else {
            writeln!(text, "QUERY PLAN")?;
        }
        self.draw(0, "", &mut text)?;
        self.nodes.clear();
        self.text = text;
        Ok(())
    }

    /// The drawing.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.end_tree()?;
        Ok(self.text)
    }
}

impl Sink for Tree {
    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let number = |index: usize| match row.get(index) {
            Some(ValueRef::Integer(number)) => *number,
            _ => 0,
        };
        let text = match row.get(3) {
            Some(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        };
        if text.starts_with('-') {
            // A trigger's program begins.
            self.end_tree()?;
        }
        self.nodes.push((number(0), number(1), text));
        Ok(ControlFlow::Continue(()))
    }
}

/// Widths of the columns of a program.
const WIDTHS: [usize; 8] = [4, 13, 4, 4, 4, 13, 2, 13];

/// Opcodes that end a loop, which is then shown indented.
const LOOP_ENDS: [&str; 6] = ["Next", "Prev", "VPrev", "VNext", "SorterNext", "Return"];
/// Opcodes that a `Goto` back to encloses in a loop.
const YIELDS: [&str; 5] = ["Yield", "SeekLT", "SeekGT", "RowSetRead", "Rewind"];

/// The rows of `EXPLAIN`, held until their loops are known.
#[derive(Debug)]
pub struct Program {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
    null: String,
}

impl Program {
    #[must_use]
    pub fn new(style: &Style) -> Self {
        Self {
            names: Vec::new(),
            rows: Vec::new(),
            null: style.null.clone(),
        }
    }

    /// How far each row is indented.
    fn indents(&self) -> Vec<usize> {
        let mut indents = vec![0; self.rows.len()];
        let field = |row: usize, column: usize| self.rows[row].get(column).map_or("", String::as_str);
        let number = |row: usize, column: usize| field(row, column).parse::<i64>().unwrap_or(0);
        // Rows of nested programs (triggers) begin at address 0 again.
        let mut start = 0;
        for row in 0..self.rows.len() {
            if row > 0 && number(row, 0) == 0 {
                start = row;
            }
            let opcode = field(row, 1);
            let Ok(target) = usize::try_from(number(row, 3)) else {
                continue;
            };
            let target = start + target;
            let ends_loop = LOOP_ENDS.contains(&opcode) && target > 0
                || opcode == "Goto" && target < row && (YIELDS.contains(&field(target, 1)) || number(row, 2) != 0);
            if ends_loop {
                for indent in indents.iter_mut().take(row).skip(target) {
                    *indent += 2;
                }
            }
        }
        indents
    }

    /// The program, laid out.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        if self.rows.is_empty() {
            return Ok(out);
        }
        let columns = self.names.len().min(WIDTHS.len());
        let separator = |index: usize| if index + 1 == columns { "\n" } else { "  " };
        for (index, name) in self.names.iter().take(columns).enumerate() {
            // Names are cut to their column, values are not.
            write!(out, "{name:<width$.width$}{}", separator(index), width = WIDTHS[index])?;
        }
        for (index, width) in WIDTHS.iter().take(columns).enumerate() {
            write!(out, "{:-<width$}{}", "", separator(index))?;
        }
        let indents = self.indents();
        for (row, indent) in self.rows.iter().zip(indents) {
            for (index, text) in row.iter().take(columns).enumerate() {
                let width = if index + 1 == columns { 0 } else { WIDTHS[index] };
                if index == 1 {
                    write!(out, "{:indent$}", "")?;
                }
                write!(out, "{text:<width$}{}", separator(index))?;
            }
        }
        Ok(out)
    }
}

impl Sink for Program {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.names = columns.iter().map(|column| column.name.clone()).collect();
        Ok(())
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        let row = row
            .iter()
            .map(|&value| match value {
                ValueRef::Null => self.null.clone(),
                value => crate::sql::text::value_to_text(&crate::sql::query::owned(value)),
            })
            .collect();
        self.rows.push(row);
        Ok(ControlFlow::Continue(()))
    }
}
