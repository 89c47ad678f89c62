//! `torso db verify`: proves that replicas have what their primary has.

use super::near_miss;
use crate::commands::completers;
use crate::context::Context;
use crate::control::names::DatabaseName;
use crate::control::types::Role;
use crate::control::verification::{Verification, VerificationRequest, VerifiedInstance};
use crate::error::{Code, Error, Result};
use crate::ui::{Cell, Layout, Table, View};

crate::commands::schemas::document!("db verify" => Verification);

/// Compare a database's replicas with its primary
///
/// Hashes every table of the primary and of each replica at one position of the log, while writes go on. If a replica differs, it
/// names the first table and the keys between which rows differ, and exits with 5. With --deep it also has SQLite check pages, free
/// pages and indexes of each instance. A replica in which they are wrong counts as one that differs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  torso db verify app\n  torso db verify app --deep --repair")]
pub(crate) struct Args {
    /// Name of the database [default: the project's]
    #[arg(value_name = "NAME", add = completers::databases())]
    name: Option<DatabaseName>,
    /// Copy replicas that differ again
    #[arg(long)]
    repair: bool,
    /// Check pages and indexes as well, which takes longer
    #[arg(long)]
    deep: bool,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<()> {
    let name = ctx.database(args.name)?;
    let verified = ctx
        .control()?
        .verify_database(
            &name,
            VerificationRequest {
                repair: args.repair,
                deep: args.deep,
            },
        )
        .map_err(|error| near_miss(ctx, &name, error))?;
    let differing: Vec<String> = verified
        .differing()
        .map(|instance| instance.location.to_string())
        .collect();
    ctx.ui.show(&verified)?;
    for location in &verified.not_compared {
        ctx.ui.warn(format!(
            "the replica at {location} is on another machine and was not compared"
        ));
    }
    if let Some(primary) = verified.damaged_primary() {
        return Err(Error::new(
            Code::DatabaseDamaged,
            format!("the primary of {name} at {} is damaged", primary.location),
        )
        .caused_by(primary.damage.clone().unwrap_or_default())
        .hint(format!(
            "check a replica with torso db shell {name} --location CODE \"pragma integrity_check\" and promote it, or restore a \
             backup: torso db restore {name} --from ID"
        )));
    }
    if differing.is_empty() {
        return Ok(());
    }
    let locations = differing.join(", ");
    if args.repair {
        // What was copied from the primary's log is not what its file has.
        return Err(Error::new(
            Code::Diverged,
            format!("{name} still differs at {locations} after it was copied again: the primary's own file may be the damaged one"),
        )
        .hint(format!(
            "compare the rows; if the replica is right, torso db promote {name} {} makes it the primary",
            differing[0]
        )));
    }
    Err(Error::new(
        Code::Diverged,
        format!("{name} differs from its primary at {locations}"),
    )
    .hint(format!("torso db verify {name} --repair copies it again")))
}

impl View for Verification {
    fn layout(&self) -> Layout {
        let mut table = Table::new(["LOCATION", "ROLE", "RESULT", "TABLE", "KEYS"], "There is no instance.");
        for instance in &self.instances {
            let difference = instance.difference.as_ref();
            let keys = difference.and_then(|difference| {
                let (first, last) = (difference.first_key.as_ref()?, difference.last_key.as_ref()?);
                Some(if first == last {
                    first.clone()
                } else {
                    format!("{first} to {last}")
                })
            });
            table.row(vec![
                Cell::text(instance.location.as_str()),
                Cell::text(match instance.role {
                    Role::Primary => "primary",
                    Role::Replica => "replica",
                }),
                Cell::text(self.result(instance)),
                Cell::text(difference.map_or("", |difference| difference.table.as_str())),
                Cell::text(keys.unwrap_or_default()),
            ]);
        }
        Layout::Table(table)
    }

    fn names(&self) -> Vec<String> {
        self.differing().map(|instance| instance.location.to_string()).collect()
    }
}

impl Verification {
    fn result(&self, instance: &VerifiedInstance) -> String {
        match instance.role {
            Role::Primary if instance.damage.is_some() => self.describe_damage(instance),
            Role::Primary => format!("{} rows, {}", self.rows, self.hash.get(..16).unwrap_or(&self.hash)),
            Role::Replica if instance.repaired => "differed; copied again".to_owned(),
            Role::Replica if instance.damage.is_some() => self.describe_damage(instance),
            Role::Replica if self.damaged_primary().is_some() => "not compared".to_owned(),
            Role::Replica if instance.is_equal => "equal".to_owned(),
            Role::Replica => "differs".to_owned(),
        }
    }

    fn describe_damage(&self, instance: &VerifiedInstance) -> String {
        format!("damaged: {}", instance.damage.as_deref().unwrap_or_default())
    }
}
