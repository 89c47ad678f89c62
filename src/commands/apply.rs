//! `torso apply`: takes the steps from what there is to what a file declares. The file and the plan are `crate::declared`'s.

use super::DryRun;
use super::answers::{self, Problem, counted, shortened};
use super::db::create::{self, NewPlacement, Wanted};
use super::db::seed::Source;
use super::preconditions;
use crate::context::Context;
use crate::declared::{self, ApplyPlan, CurrentState, DatabaseStep, DeclaredSeed, DeclaredState, Step};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};
use serde::Serialize;
use std::path::{Path, PathBuf};

crate::commands::schemas::document!("apply" => Applied);

/// Make databases and groups as a file declares them
///
/// The file has a table for each group and each database; what it does not name stays. Applied twice, it changes nothing the second
/// time. An interrupted run is completed by the next. With --prune, torso also removes replicas and locations that the file does not
/// name. Databases go only if they are within the file's scope.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  torso apply --dry-run
  torso apply -f shop.toml --prune --yes
  torso apply --check

Exit codes: 0 all is as declared, 5 with --check: something differs")]
pub(super) struct Args {
    /// The file that declares them
    #[arg(long, short, value_name = "FILE", default_value = "torso.toml")]
    file: PathBuf,
    /// Fail if anything differs; change nothing
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// Also remove what the file does not name
    #[arg(long)]
    prune: bool,
    /// Do not ask before removing
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

pub(super) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let text = read(&args.file)?;
    let declared = declared::parse(&args.file, &text)?;
    let plane = ctx.control()?;
    let current = CurrentState::read(plane, &declared)?;
    declared::check_references(&declared, &current)?;
    let plan = declared::plan(&declared, &current)?;
    check_steps(ctx, &declared, &current, &plan)?;
    if args.check {
        return check(ctx, &declared, &plan);
    }
    if args.prune {
        check_removals(&declared, &current, &plan)?;
    }
    let removals: &[Step] = if args.prune { &plan.removals } else { &[] };
    if args.dry.dry_run {
        let steps = plan.steps.iter().chain(removals);
        return answers::plan(ctx, steps.map(Step::to_string).collect());
    }
    if !removals.is_empty() {
        ctx.confirm(args.yes, &shortened(removals, "step"), &declared.file)?;
    } else if !plan.removals.is_empty() {
        let count = counted(plan.removals.len(), "thing");
        ctx.ui.notice(format!(
            "{count} that the file does not name {} there: torso apply --check lists them, --prune removes them.",
            if plan.removals.len() == 1 { "is" } else { "are" }
        ));
    }
    apply(ctx, &declared, &plan.steps, removals)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Error::new(
            Code::InvalidFile,
            format!("{}:1: the file is not UTF-8 text", path.display()),
        ),
        _ => Error::io(error, format!("cannot read {}", path.display()))
            .hint("--file names the file that declares the databases; torso help apply has an example"),
    })
}

/// Refuses steps that cannot be taken, before anything is changed.
fn check_steps(ctx: &Context, declared: &DeclaredState, current: &CurrentState, plan: &ApplyPlan) -> Result<()> {
    for step in &plan.steps {
        let (key, done) = match step {
            Step::AddLocation(new) => (
                format!("locations.{}", new.code),
                ctx.control()?.check_new_location(new),
            ),
            Step::CreateDatabase(new) => (format!("databases.{}.seed", new.name), check_seed(current, new)),
            Step::ConfigureGroup(name, patch) if patch.isolation.is_some() => {
                (format!("groups.{name}.isolation"), check_isolation(ctx))
            }
            _ => continue,
        };
        done.map_err(|error| declared.locate(&key, &error))?;
    }
    Ok(())
}

/// Refuses what a database cannot start with.
fn check_seed(current: &CurrentState, new: &DatabaseStep) -> Result<()> {
    if let Some(DeclaredSeed::File(path) | DeclaredSeed::Dump(path) | DeclaredSeed::Csv(path)) = &new.seed
        && !path.is_file()
    {
        return Err(
            Error::new(Code::FileNotFound, format!("there is no file {}", path.display()))
                .hint("paths are taken from the folder of the file that declares them"),
        );
    }
    let source = Source::of_declared(new.seed.as_ref());
    let original = source.original().and_then(|name| current.databases.get(name));
    let size = match original {
        // With its log, which a copy has not.
        Some(_) => None,
        None => {
            let opened = source.open();
            let hint = "the key of a seed says what its file is: file, dump or csv";
            opened.map_err(|error| error.hint(hint))?.size_of_database()
        }
    };
    let limit = new.size_limit.as_deref().and_then(|bytes| bytes.parse().ok());
    match (size, limit) {
        (Some(size), Some(limit)) => {
            preconditions::check_room(&new.name, size, limit).map_err(|error| error.hint("declare a larger size_limit"))
        }
        _ => Ok(()),
    }
}

/// Refuses a setting of processes where there are none.
fn check_isolation(ctx: &Context) -> Result<()> {
    match ctx.server_if_any()? {
        Some(_) => Ok(()),
        None => Err(Error::new(
            Code::Unsupported,
            "databases on this machine are files without a server process, which they could share",
        )
        .hint("groups have this setting in contexts that name a server: torso context list")),
    }
}

/// Refuses to destroy what is protected, before anything is changed.
fn check_removals(declared: &DeclaredState, current: &CurrentState, plan: &ApplyPlan) -> Result<()> {
    for step in &plan.removals {
        if let Step::DestroyDatabase(name) = step
            && current
                .databases
                .get(name)
                .is_some_and(|database| database.delete_protection)
        {
            return Err(Error::new(
                Code::DeleteProtected,
                format!(
                    "database {name}, which {} does not name, is protected from deletion",
                    declared.file
                ),
            )
            .hint(format!("torso db config set {name} delete-protection off")));
        }
    }
    Ok(())
}

/// A step in the answer.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct StepEntry {
    action: &'static str,
    name: String,
    description: String,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl StepEntry {
    fn new(step: &Step, done: bool) -> Self {
        Self {
            action: step.action(),
            name: step.subject().to_owned(),
            description: step.to_string(),
            done,
            error: None,
        }
    }
}

/// The answer: every step, taken or not.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Serialize)]
struct Applied {
    file: String,
    /// Whether anything was changed.
    changed: bool,
    steps: Vec<StepEntry>,
}

impl View for Applied {
    fn layout(&self) -> Layout {
        if self.steps.is_empty() {
            return Layout::Said(format!("Everything is as {} declares.", self.file));
        }
        let mut table = Table::new(["STEP", "RESULT"], "");
        for step in &self.steps {
            let result = match (&step.error, step.done) {
                (Some(problem), _) => problem.message.clone(),
                (None, true) => "done".to_owned(),
                (None, false) => "not done".to_owned(),
            };
            table.row(vec![Cell::text(&step.description), Cell::text(result)]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.steps.iter().map(|step| step.name.clone()).collect()
    }
}

fn check(ctx: &Context, declared: &DeclaredState, plan: &ApplyPlan) -> Result<()> {
    let steps = plan.steps.iter().chain(&plan.removals);
    ctx.ui.show(&Applied {
        file: declared.file.clone(),
        changed: false,
        steps: steps.map(|step| StepEntry::new(step, false)).collect(),
    })?;
    if plan.is_empty() {
        return Ok(());
    }
    let count = counted(plan.steps.len() + plan.removals.len(), "difference");
    let error = Error::new(Code::Drifted, format!("{count} from {}", declared.file));
    Err(match (plan.steps.is_empty(), plan.removals.is_empty()) {
        (_, true) => error.hint("torso apply takes the steps"),
        (true, false) => error.hint("torso apply --prune removes what the file does not name"),
        (false, false) => {
            error.hint("torso apply takes the steps; with --prune, it also removes what the file does not name")
        }
    })
}

/// Takes the steps, and answers with all of them. It stops at the first that fails.
fn apply(ctx: &Context, declared: &DeclaredState, steps: &[Step], removals: &[Step]) -> Result<()> {
    let mut entries = Vec::new();
    let mut failure = None;
    for step in steps.iter().chain(removals) {
        let mut entry = StepEntry::new(step, false);
        if failure.is_none() {
            match take(ctx, step) {
                Ok(()) => entry.done = true,
                Err(error) => {
                    entry.error = Some((&error).into());
                    failure = Some(error);
                }
            }
        }
        entries.push(entry);
    }
    let changed = entries.iter().any(|entry| entry.done);
    if let Some(error) = failure.take_if(|_| !changed) {
        return Err(error);
    }
    ctx.ui.show(&Applied {
        file: declared.file.clone(),
        changed,
        steps: entries,
    })?;
    match failure {
        None => Ok(()),
        Some(error) => Err(Error::new(
            Code::Partial,
            format!("not every step could be taken: {}", error.full_message()),
        )
        .hint("what was done stays: run the command again to go on")),
    }
}

/// Takes a step. What is so already, because another torso was faster, is fine.
fn take(ctx: &Context, step: &Step) -> Result<()> {
    let plane = ctx.control()?;
    let unless = |code: Code, done: Result<()>| match done {
        Err(error) if error.code() == code => Ok(()),
        done => done,
    };
    match step {
        Step::AddLocation(new) => plane.add_location(new).map(drop),
        Step::CreateGroup(new) => unless(Code::GroupExists, plane.create_group(new).map(drop)),
        Step::AddGroupLocation(group, location) => plane.add_group_location(group, location).map(drop),
        Step::PromoteGroup(group, location) => plane.promote_group(group, location).map(drop),
        Step::ConfigureGroup(group, patch) => plane.update_group_configuration(group, patch).map(drop),
        Step::CreateDatabase(new) => create_database(ctx, new),
        Step::ConfigureDatabase(name, patch) => plane.update_configuration(name, patch).map(drop),
        Step::AddReplica(name, location) => plane.add_instance(name, location).map(drop),
        Step::PromoteDatabase(name, location) => plane.promote_instance(name, location).map(drop),
        Step::RemoveReplica(name, location) => unless(Code::InstanceNotFound, plane.remove_instance(name, location)),
        Step::RemoveGroupLocation(group, location) => plane.remove_group_location(group, location).map(drop),
        Step::DestroyDatabase(name) => unless(Code::DatabaseNotFound, plane.delete_database(name)),
    }
}

fn create_database(ctx: &Context, new: &DatabaseStep) -> Result<()> {
    let place = NewPlacement {
        location: new.location.clone(),
        group: new.group.clone(),
    };
    let size_limit = new.size_limit.as_deref().and_then(|bytes| bytes.parse().ok());
    let wanted = Wanted::declared(place, size_limit, new.expires_at);
    let source = Source::of_declared(new.seed.as_ref());
    create::make(ctx, Some(new.name.clone()), &wanted, &source).map(drop)
}
