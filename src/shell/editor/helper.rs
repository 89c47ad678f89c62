//! The line editor's four hooks (completion, hints, highlighting, validation), over this folder's own parts.

use super::complete::{self, Candidate};
use super::highlight;
use super::keys::KeyBindings;
use super::lines::{self, Edit};
use super::prompt::Prompt;
use super::schema::Schema;
use crate::shell::command_spec::CommandSpec;
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::line_buffer::LineBuffer;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Changeset, CompletionType, Context};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What the line editor calls back.
pub struct Helper<'s> {
    keys: KeyBindings,
    commands: Vec<&'static CommandSpec>,
    schema: Rc<dyn Schema + 's>,
    colour: bool,
    prompt: Prompt,
    columns: usize,
    /// The edit that is being carried out as a completion.
    edit: RefCell<Option<Edit>>,
    /// Whether the bracket at the cursor stands out; not in what is left on the screen in the end.
    brackets: Cell<bool>,
    /// Whether the buffer was empty when it was last drawn.
    empty: Cell<bool>,
}

impl<'s> Helper<'s> {
    pub fn new(
        keys: KeyBindings,
        commands: Vec<&'static CommandSpec>,
        schema: Rc<dyn Schema + 's>,
        colour: bool,
    ) -> Self {
        Self {
            keys,
            commands,
            schema,
            colour,
            prompt: Prompt::custom("", None),
            columns: 0,
            edit: RefCell::default(),
            brackets: Cell::new(false),
            empty: Cell::new(true),
        }
    }

    /// A new reading begins. `columns` is the terminal's width, 0 if unknown.
    pub fn begin(&mut self, prompt: Prompt, columns: usize) {
        self.prompt = prompt;
        self.columns = columns;
        self.empty.set(true);
    }

    /// Whether the last reading ended with nothing typed.
    pub fn is_line_empty(&self) -> bool {
        self.empty.get()
    }
}

impl rustyline::Helper for Helper<'_> {}

impl Completer for Helper<'_> {
    type Candidate = Candidate;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Candidate>)> {
        if let Some(edit) = self.keys.pending(line, pos) {
            *self.edit.borrow_mut() = Some(edit);
            // One candidate is always taken; `update` carries the edit out instead.
            return Ok((pos, vec![Candidate::word(String::new())]));
        }
        let (text, at) = lines::unfold_at(line, pos);
        let found = complete::complete(&text, at, &self.commands, &*self.schema);
        // What is replaced lies on the cursor's line, where both texts agree byte for byte.
        Ok((pos - (at - found.start), found.candidates))
    }

    fn update(&self, line: &mut LineBuffer, start: usize, elected: &str, changes: &mut Changeset) {
        match self.edit.borrow_mut().take() {
            Some(edit) => {
                if !edit.range.is_empty() || !edit.text.is_empty() {
                    line.replace(edit.range, &edit.text, changes);
                }
                line.set_pos(edit.at);
            }
            None => {
                let end = line.pos();
                line.replace(start..end, elected, changes);
            }
        }
    }
}

impl Hinter for Helper<'_> {
    type Hint = String;
}

impl Highlighter for Helper<'_> {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        self.empty.set(line.is_empty());
        let bracket = (self.colour && self.brackets.get()).then_some(pos);
        Cow::Owned(highlight::draw(line, &self.prompt, self.colour, bracket, self.columns))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, default: bool) -> Cow<'b, str> {
        if default {
            Cow::Owned(highlight::draw_prompt(prompt, self.colour))
        } else {
            Cow::Borrowed(prompt)
        }
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        Cow::Borrowed(candidate)
    }

    fn highlight_char(&self, line: &str, pos: usize, kind: CmdKind) -> bool {
        self.empty.set(line.is_empty());
        self.brackets.set(kind != CmdKind::ForcedRefresh);
        match kind {
            CmdKind::MoveCursor => self.colour && highlight::at_bracket(line, pos),
            // Any change may colour what stands before it anew: a quote closed, a word become a keyword.
            CmdKind::Other => self.colour || line.contains('\t'),
            CmdKind::ForcedRefresh => false,
        }
    }
}

impl Validator for Helper<'_> {
    /// Asked on a terminal without cursor movement only: elsewhere the keys decide before the line is accepted.
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if super::is_complete(&lines::unfold(ctx.input())) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}
