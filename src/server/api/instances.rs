//! Instances of databases: primaries and replicas.

use super::body::Named;
use super::call::OperationCall;
use super::databases::{name, one};
use super::reply::ApiReply;
use crate::control::ControlPlane;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::promotion::ForcedPromotion;
use crate::control::types::{Instance, InstanceState, Seed};
use crate::control::verification::VerificationRequest;
use crate::error::{Code, Error, Result};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// How long a request waits for an instance to be ready, and how often it checks.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn list_instances(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("instances", &call.plane()?.list_instances(&name(call)?)?)
}

#[derive(Deserialize)]
struct NewInstance {
    location: Named<LocationCode>,
}

pub(super) fn add_instance(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: NewInstance = call.body()?;
    ApiReply::of(
        "instance",
        &call.plane()?.add_instance(&name(call)?, &new.location.get()?)?,
    )
}

/// The answer to a request that has added an instance before.
pub(super) fn instance_added(call: &OperationCall<'_>) -> Result<ApiReply> {
    let new: NewInstance = call.body()?;
    let location = new.location.get()?;
    ApiReply::of(
        "instance",
        &find_instance(&*call.plane()?, &name(call)?, location.as_str())?,
    )
}

fn find_instance(plane: &dyn ControlPlane, name: &DatabaseName, instance: &str) -> Result<Instance> {
    plane
        .list_instances(name)?
        .into_iter()
        .find(|found| found.name == instance)
        .ok_or_else(|| {
            Error::new(
                Code::InstanceNotFound,
                format!("database {name} has no instance {instance:?}"),
            )
            .hint(format!("torso db replicas {name} shows where it is"))
        })
}

pub(super) fn get_instance(call: &OperationCall<'_>) -> Result<ApiReply> {
    let instance = find_instance(&*call.plane()?, &name(call)?, call.text("instanceName")?)?;
    ApiReply::of("instance", &instance)
}

pub(super) fn remove_instance(call: &OperationCall<'_>) -> Result<ApiReply> {
    let location: LocationCode = call.name("instanceName")?;
    call.plane()?.remove_instance(&name(call)?, &location)?;
    ApiReply::of("instance", &location)
}

/// The answer to a request that has removed an instance before.
pub(super) fn instance_removed(call: &OperationCall<'_>) -> Result<ApiReply> {
    ApiReply::of("instance", &call.text("instanceName")?)
}

pub(super) fn wait_for_instance(call: &OperationCall<'_>) -> Result<ApiReply> {
    let (plane, name) = (call.plane()?, name(call)?);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let instance = find_instance(&*plane, &name, call.text("instanceName")?)?;
        if instance.state != InstanceState::Missing {
            return ApiReply::of("instance", &instance);
        }
        if Instant::now() >= deadline {
            return Err(Error::new(
                Code::Timeout,
                format!("the instance of {name} at {} does not serve yet", instance.location),
            )
            .hint("try again; torso doctor shows what is wrong"));
        }
        std::thread::sleep(PAUSE);
    }
}

pub(super) fn promote_instance(call: &OperationCall<'_>) -> Result<ApiReply> {
    one(&call
        .plane()?
        .promote_instance(&name(call)?, &call.name("instanceName")?)?)
}

pub(super) fn force_promotion(call: &OperationCall<'_>) -> Result<ApiReply> {
    let request: ForcedPromotion = call.body()?;
    one(&call.plane()?.force_promotion(&name(call)?, &request)?)
}

pub(super) fn verify(call: &OperationCall<'_>) -> Result<ApiReply> {
    let request: VerificationRequest = call.body()?;
    ApiReply::of("verification", &call.plane()?.verify_database(&name(call)?, request)?)
}

#[derive(Deserialize)]
struct CompactBody {
    #[serde(default)]
    dry_run: bool,
}

pub(super) fn compact(call: &OperationCall<'_>) -> Result<ApiReply> {
    let CompactBody { dry_run } = call.body()?;
    ApiReply::of("compaction", &call.plane()?.compact_database(&name(call)?, dry_run)?)
}

#[derive(Deserialize)]
struct RestoreBody {
    /// The id of the backup, for the audit log.
    backup: String,
    /// The content, for a primary that is missing or damaged.
    upload: Option<String>,
}

pub(super) fn restore(call: &OperationCall<'_>) -> Result<ApiReply> {
    let RestoreBody { backup, upload } = call.body()?;
    let content = upload.map(|id| Seed::Upload { id });
    one(&call.plane()?.restore_backup(&name(call)?, &backup, content.as_ref())?)
}
