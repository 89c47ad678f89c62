//! The only database of the server of `torso dev`: made of the file, and in its place while it runs.

use crate::control::gateway_plane;
use crate::control::hosted::{CallOrigin, Caller, Hosted, HostedOptions, PRIVATE_FILE, SoleDatabase};
use crate::control::names::{DatabaseName, OrganizationSlug};
use crate::control::tokens::{Authorization, Expiration, NewToken, TokenPermissions};
use crate::control::types::{Configuration, ConfigurationPatch, CreateDatabase, Seed};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::served_file::{ServedFile, TakenFile};

/// The name of the server's user, and so of the organization.
pub(super) const OWNER: &str = "dev";

/// The name of its database.
const DATABASE: &str = "file";

/// Opens the server, makes its database of the file, and gives the file to it. Returns the token that requests have to bring, if
/// they have to.
pub(super) fn open(
    options: HostedOptions,
    taken: TakenFile,
    limits: Option<&Configuration>,
    demands_token: bool,
) -> Result<(Hosted, Option<Secret>, ServedFile)> {
    let (hosted, owner) = Hosted::open(options)?;
    let opened = owner
        .ok_or_else(|| Error::new(Code::Internal, "the server of a file has been used before"))
        .and_then(|owner| hosted.authenticate(owner.expose(), &CallOrigin::default()))
        .and_then(|caller| serve(&hosted, &caller, taken, limits, demands_token));
    match opened {
        Ok((token, file)) => Ok((hosted, token, file)),
        Err(error) => {
            hosted.shutdown();
            Err(error)
        }
    }
}

fn serve(
    hosted: &Hosted,
    caller: &Caller,
    mut taken: TakenFile,
    limits: Option<&Configuration>,
    demands_token: bool,
) -> Result<(Option<Secret>, ServedFile)> {
    let name: DatabaseName = DATABASE.parse()?;
    let organization: OrganizationSlug = OWNER.parse()?;
    let plane = hosted.plane(caller, None)?;
    let staging = plane.staging()?;
    let seed = if taken.is_empty()? {
        None
    } else {
        taken.copy_to(&staging.path)?;
        Some(Seed::DatabaseUpload {
            path: staging.path.clone(),
        })
    };
    plane
        .create_database(&CreateDatabase {
            name: name.clone(),
            group: None,
            location: None,
            seed,
            size_limit: limits.map(|limits| limits.size_limit.clone()),
            expires_at: None,
        })
        .map_err(|error| about_file(error, &taken))?;
    if let Some(limits) = limits.filter(|limits| limits.block_reads || limits.block_writes) {
        let patch = ConfigurationPatch {
            block_reads: Some(limits.block_reads),
            block_writes: Some(limits.block_writes),
            ..ConfigurationPatch::default()
        };
        plane.update_configuration(&name, &patch)?;
    }
    let token = plane.create_database_token(
        &name,
        &NewToken {
            name: Some("torso dev".to_owned()),
            expiration: Expiration::Never,
            authorization: Authorization::FullAccess,
            permissions: TokenPermissions::default(),
        },
    )?;
    let label = gateway_plane::label(&name, &organization, None);
    let files = hosted.primary_files(&label)?;
    let file = taken.give_to_server(&files.data, &files.process_lock)?;
    let token = token.jwt;
    let (open_token, demanded) = if demands_token {
        (None, Some(token))
    } else {
        (Some(token), None)
    };
    hosted.serve_only(SoleDatabase { label, open_token });
    Ok((demanded, file))
}

/// An error about the copy of a file, or about another one beside that, as one about the file.
fn about_file(error: Error, taken: &TakenFile) -> Error {
    let path = taken.path().display().to_string();
    let of_file = error.map_text(|text| text.replacen(PRIVATE_FILE, &path, 1));
    match of_file.hint_text() {
        Some(_) => of_file,
        None => of_file.hint("the file is unchanged; torso dev has the rules of torso server"),
    }
}
