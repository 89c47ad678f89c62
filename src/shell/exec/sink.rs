//! The result of one statement on its way to the output: rows, a query plan or a program.

use super::screen::ScreenLayout;
use crate::shell::render::explain::{Program, Tree};
use crate::shell::render::{Renderer, Style};
use crate::shell::state::{ExplainLayout, HookOutput, ShellSettings};
use crate::shell::terminal::layout::{Fit, Screen};
use crate::sql::{Args, Column, Explain, Failure, Outcome, Prepared, Session, Sink, ValueRef};
use std::io::{self, Write};
use std::ops::ControlFlow;

/// The result of one statement on its way to the output.
pub struct ResultSink<'a> {
    style: &'a Style,
    /// Layouts that fit the terminal, if it is one.
    fit: Option<&'a Fit>,
    explain: ExplainLayout,
    out: Option<&'a mut dyn Write>,
    body: Body<'a>,
    read_only: bool,
    hook_output: HookOutput,
    /// The columns it has.
    columns: Vec<Column>,
}

enum Body<'a> {
    Nothing,
    /// On a terminal, fitted to it.
    Screen(Box<Screen<'a>>),
    Rows(Box<Renderer<'a>>),
    Tree(Tree),
    Program(Program),
}

impl<'a> ResultSink<'a> {
    pub fn new(
        settings: &'a ShellSettings,
        layout: Option<&'a ScreenLayout>,
        hook_output: &HookOutput,
        out: &'a mut dyn Write,
    ) -> Self {
        Self {
            style: layout.map_or(&settings.style, |layout| &layout.style),
            fit: layout.and_then(|layout| layout.fit.as_ref()),
            explain: settings.explain,
            out: Some(out),
            body: Body::Nothing,
            read_only: true,
            hook_output: hook_output.clone(),
            columns: Vec::new(),
        }
    }

    /// Runs a statement and shows its result to the end, also of one that fails on the way.
    pub fn run(
        mut self,
        session: &mut dyn Session,
        sql: &str,
        args: &Args,
    ) -> (Result<Outcome, Failure>, io::Result<Finished>) {
        let ran = session.run(sql, args, &mut self);
        (ran, self.finish())
    }

    /// Writes what is still to come.
    fn finish(self) -> io::Result<Finished> {
        let mut finished = Finished {
            wrote: !self.read_only,
            shortened: false,
            columns: self.columns,
        };
        let (out, text) = match self.body {
            Body::Nothing => (self.out, Vec::new()),
            Body::Screen(screen) => {
                finished.shortened = screen.finish()?;
                return Ok(finished);
            }
            Body::Rows(renderer) => {
                renderer.finish()?;
                return Ok(finished);
            }
            Body::Tree(tree) => (self.out, tree.finish()?),
            Body::Program(program) => (self.out, program.finish()?),
        };
        if let Some(out) = out {
            self.hook_output.drain(out)?;
            out.write_all(&text)?;
        }
        Ok(finished)
    }
}

/// Facts about a statement whose result has been shown.
pub struct Finished {
    /// Whether it may have written.
    pub wrote: bool,
    /// Whether cells were shortened.
    pub shortened: bool,
    /// The columns it had.
    pub columns: Vec<Column>,
}

impl ResultSink<'_> {
    /// Shows what hooks have said, as long as the result has not begun.
    fn show_hook_output(&mut self) -> io::Result<()> {
        match &mut self.out {
            Some(out) => self.hook_output.drain(*out),
            None => Ok(()),
        }
    }
}

impl Sink for ResultSink<'_> {
    fn prepared(&mut self, statement: &Prepared) -> io::Result<()> {
        self.read_only = statement.read_only;
        self.show_hook_output()?;
        self.body = match (self.explain, statement.explain) {
            (ExplainLayout::On, _) | (ExplainLayout::Auto, Explain::Program) => Body::Program(Program::new(self.style)),
            (ExplainLayout::Auto, Explain::Plan) => Body::Tree(Tree::default()),
            _ => Body::Nothing,
        };
        Ok(())
    }

    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        self.show_hook_output()?;
        self.columns = columns.to_vec();
        if matches!(self.body, Body::Nothing)
            && let Some(out) = self.out.take()
        {
            self.body = match self.fit {
                Some(fit) => Body::Screen(Box::new(Screen::new(fit, out))),
                None => Body::Rows(Box::new(Renderer::new(self.style, out))),
            };
        }
        match &mut self.body {
            Body::Nothing => Ok(()),
            Body::Screen(screen) => screen.columns(columns),
            Body::Rows(renderer) => renderer.columns(columns),
            Body::Tree(tree) => tree.columns(columns),
            Body::Program(program) => program.columns(columns),
        }
    }

    fn row(&mut self, row: &[ValueRef<'_>]) -> io::Result<ControlFlow<()>> {
        match &mut self.body {
            Body::Screen(screen) => screen.row(row),
            Body::Rows(renderer) => renderer.row(row),
            Body::Nothing => Ok(ControlFlow::Continue(())),
            Body::Tree(tree) => tree.row(row),
            Body::Program(program) => program.row(row),
        }
    }
}
