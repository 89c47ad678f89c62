//! Uploads, dumps and exports.

use super::{OrganizationPlane, PlaneGuard, label};
use crate::control::MaintenanceOperations as _;
use crate::control::gateway_plane::{Export, Route};
use crate::control::hosted::permission::{Action, PermissionTarget};
use crate::control::hosted::{NewAuditEntry, Shared, Upload};
use crate::control::names::{DatabaseName, LocationCode, OrganizationSlug};
use crate::control::types::{CreateDatabase, Database, Seed};
use crate::error::{Code, Error, Result};
use serde_json::json;
use std::fs::File;
use std::io::Read;

impl OrganizationPlane<'_> {
    pub fn begin_upload(&self, size: u64, sha256: Option<[u8; 32]>) -> Result<Upload> {
        let entry = NewAuditEntry::new("upload-create", "began an upload", json!({ "size": size }));
        self.change(Action::CreateDatabase, PermissionTarget::Visible, entry, |plane| {
            if let Some(room) = self.room_for_bytes(plane)?
                && size > room
            {
                return Err(too_large(size, room));
            }
            self.shared.uploads.begin(&self.organization.id, Some(size), sha256)
        })
    }

    pub fn put_chunk(&self, id: &str, offset: u64, reader: &mut dyn Read, len: u64) -> Result<Upload> {
        self.allow(Action::CreateDatabase, PermissionTarget::Visible, None)?;
        self.shared
            .uploads
            .put(&self.organization.id, id, offset, reader, len)
            .map_err(|error| self.discreet(error))
    }

    pub fn drop_upload(&self, id: &str) -> Result<Upload> {
        self.allow(Action::CreateDatabase, PermissionTarget::Visible, None)?;
        self.shared
            .uploads
            .give_up(&self.organization.id, id)
            .map_err(|error| self.discreet(error))
    }

    pub fn upload(&self, id: &str) -> Result<Upload> {
        self.allow(Action::CreateDatabase, PermissionTarget::Visible, None)?;
        self.shared
            .uploads
            .get(&self.organization.id, id)
            .map_err(|error| self.discreet(error))
    }

    pub fn adopt_dump(&self, reader: &mut dyn Read) -> Result<(Upload, String)> {
        let entry = NewAuditEntry::new("upload-create", "sent a dump", json!({}));
        self.change(Action::CreateDatabase, PermissionTarget::Visible, entry, |plane| {
            let most = self.room_for_bytes(plane)?.unwrap_or(u64::MAX - 1);
            let upload = self.shared.uploads.receive(&self.organization.id, reader, most)?;
            let base = self.shared.public.base.as_str().trim_end_matches('/');
            let url = format!(
                "{base}/v1/organizations/{}/uploads/{}",
                self.organization.slug, upload.id
            );
            Ok((upload, url))
        })
    }

    /// Makes a database with any kind of seed.
    pub(super) fn make_with_seed(&self, plane: &PlaneGuard, mut request: CreateDatabase) -> Result<Database> {
        let id = match &request.seed {
            None | Some(Seed::Database { .. } | Seed::DatabaseUpload { .. }) => {
                return self.make_database(plane, request);
            }
            Some(Seed::Upload { id }) => id.clone(),
            // Nothing is fetched from the URL: only the id at its end is used.
            Some(Seed::Dump { url }) => match url.rsplit_once("/uploads/") {
                Some((_, id)) => id.to_owned(),
                None => {
                    return Err(
                        Error::new(Code::Unsupported, "this server does not download dumps from a URL")
                            .hint("get the dump and send it: torso db create NAME --from-dump PATH"),
                    );
                }
            },
        };
        // Checked before a large file is read.
        if plane.id_of(&request.name)?.is_some() {
            return Err(Error::new(
                Code::DatabaseExists,
                format!("database {} exists already", request.name),
            )
            .hint(format!("torso db show {} shows it; choose another name", request.name)));
        }
        let staging = plane.staging()?;
        request.seed = Some(Seed::DatabaseUpload {
            path: staging.path.clone(),
        });
        let presence = &self.caller.origin().presence;
        let organization = &self.organization.id;
        self.shared.with_upload(organization, &id, &staging.path, presence, || {
            if let Some(room) = self.room_for_bytes(plane)? {
                let size = std::fs::metadata(&staging.path).map_or(0, |metadata| metadata.len());
                if size > room {
                    return Err(too_large(size, room));
                }
            }
            self.make_database(plane, request)
        })
    }

    pub fn export(&self, name: &DatabaseName, location: Option<&LocationCode>) -> Result<Export> {
        let entry = NewAuditEntry::new(
            "db-export",
            format!("exported database {name}"),
            json!({ "database": name }),
        );
        self.change_database(Action::ExportDatabase, name, entry, |plane| {
            copy_database(plane, name, location, &self.organization.slug)
        })
    }
}

impl Shared {
    /// A copy of a route's database, for the bearer of a token that opens it. Fails with `database_not_found` when it was
    /// renamed or deleted since the route was looked up.
    pub(in crate::control::hosted) fn export_route(&self, route: &Route) -> Result<Export> {
        let gone = || {
            Error::new(
                Code::DatabaseNotFound,
                format!("there is no database {}", route.database),
            )
            .hint("torso db list shows the databases")
        };
        let organization = self.records().organization_by_id(&route.organization_id)?;
        let organization = organization.ok_or_else(gone)?;
        let plane = self.plane_of(&organization)?;
        if plane.id_of(&route.database)?.as_ref() != Some(&route.id) {
            return Err(gone());
        }
        let location = (!route.is_default).then_some(&route.location);
        copy_database(&plane, &route.database, location, &organization.slug).map_err(|error| self.discreet(error))
    }
}

/// Copies a database, as it is at a location or at its primary, into a file of its own.
fn copy_database(
    plane: &PlaneGuard,
    name: &DatabaseName,
    location: Option<&LocationCode>,
    organization: &OrganizationSlug,
) -> Result<Export> {
    let unreadable = |error| Error::io(error, format!("cannot read the copy of {name}"));
    let staging = plane.staging()?;
    plane.snapshot(name, location, &staging.path)?;
    let file = File::open(&staging.path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let name = format!("{}.db", label(name, organization, None));
    Ok(Export::new(file, size, name, staging))
}

fn too_large(size: u64, room: u64) -> Error {
    Error::new(
        Code::QuotaExceeded,
        format!("{size} bytes are more than the {room} that the organization's plan leaves"),
    )
    .hint("delete what you do not need, or ask the server's administrator for more (torso server --quota)")
}
