//! Which function answers which operation.

use super::call::OperationCall;
use super::reply::ApiReply;
use super::{absent, account, databases, groups, locations, operator, organizations, tokens};
use crate::control::routes::Operation as O;
use crate::error::{Code, Error, Result};

pub(super) fn answer(operation: O, call: &OperationCall<'_>) -> Result<ApiReply> {
    match operation {
        O::ValidateToken => account::validate(call),
        O::CurrentUser => account::current_user(call),
        O::ListApiTokens => account::list_tokens(call),
        O::CreateApiToken => account::create_token(call),
        O::CreateApiTokenNested => account::create_token_nested(call),
        O::RevokeApiToken => account::revoke_token(call),
        O::InvalidateSessions => account::invalidate_sessions(call),

        O::ListOrganizations => organizations::list(call),
        O::ListOrganizationsWrapped => organizations::list_wrapped(call),
        O::CreateOrganization => organizations::create(call),
        O::GetOrganization => organizations::get(call),
        O::UpdateOrganization => organizations::update(call),
        O::DeleteOrganization => organizations::delete(call),
        O::ListMembers => organizations::list_members(call),
        O::AddMember => organizations::add_member(call),
        O::GetMember => organizations::get_member(call),
        O::UpdateMember => organizations::update_member(call),
        O::RemoveMember => organizations::remove_member(call),
        O::ListInvites => organizations::list_invites(call),
        O::CreateInvite => organizations::create_invite(call),
        O::DeleteInvite => organizations::delete_invite(call),
        O::ListOrganizationTokens => account::list_organization_tokens(call),
        O::RevokeOrganizationToken => account::revoke_organization_token(call),
        O::AuditLog => organizations::audit_log(call),
        O::OrganizationUsage => organizations::usage(call),
        O::Subscription => organizations::subscription(call),
        O::ListPlans => organizations::plans(call),
        O::ListInvoices => organizations::invoices(call),
        O::ListUsers => operator::list_users(call),
        O::DisableUser => operator::disable_user(call),
        O::RemoveUser => operator::remove_user(call),
        O::ListQuotas => operator::list_quotas(call),
        O::SetQuota => operator::set_quota(call),
        O::PaymentAccount => absent::payment_account(call),
        O::PaymentPortal => absent::payment_portal(call),
        O::PaymentMethods => absent::payment_methods(call),
        O::Subscribe => absent::subscribe(call),
        O::BillingCustomer => absent::billing_customer(call),
        O::ListIssuers => absent::list_issuers(call),
        O::AddIssuer | O::IssuerTemplate => absent::refuse_issuers(call),
        O::RemoveIssuer => absent::remove_issuer(call),

        O::ListLocations => locations::list(call),
        O::GetLocation => locations::get(call),
        O::ListLocationsByPlatform => locations::list_by_platform(call),

        O::ListGroups => groups::list(call),
        O::CreateGroup => groups::create(call),
        O::GetGroup | O::UnarchiveGroup => groups::get(call),
        O::GetGroupById => groups::get_by_id(call),
        O::DeleteGroup => groups::delete(call),
        O::RenameGroup => groups::rename(call),
        O::TransferGroup => groups::transfer(call),
        O::UpdateGroup => groups::update(call),
        O::GetGroupConfiguration => groups::get_configuration(call),
        O::UpdateGroupConfiguration => groups::update_configuration(call),
        O::AddGroupLocation => groups::add_location(call),
        O::RemoveGroupLocation => groups::remove_location(call),
        O::WaitForGroupLocation => groups::wait_for_location(call),
        O::MigrationInfo => absent::migration_info(call),
        O::Migrate => absent::migrate(call),
        O::PromoteGroup => groups::promote(call),
        O::ListGroupTokens => tokens::list_of_group(call),
        O::CreateGroupToken => tokens::create_for_group(call),
        O::CreateGroupTokenById => tokens::create_for_group_by_id(call),
        O::RevokeGroupToken => tokens::revoke_of_group(call),
        O::RotateGroupTokens => tokens::rotate_of_group(call),

        O::ListDatabases => databases::list(call),
        O::CreateDatabase => databases::create(call),
        O::GetDatabase => databases::get(call),
        O::GetDatabaseById => databases::get_by_id(call),
        O::DeleteDatabase => databases::delete(call),
        O::DeleteDatabaseById => databases::delete_by_id(call),
        O::RenameDatabase => databases::rename(call),
        O::TransferDatabase => databases::transfer(call),
        O::WakeDatabase | O::UpdateDatabase => databases::check_exists(call),
        O::SyncDatabase => databases::sync(call),
        O::GetConfiguration => databases::get_configuration(call),
        O::UpdateConfiguration => databases::update_configuration(call),
        O::DatabaseUsage => databases::usage(call),
        O::TopQueries => databases::top_queries(call),
        O::DatabaseStats => databases::stats(call),
        O::ListInstances => databases::list_instances(call),
        O::AddInstance => databases::add_instance(call),
        O::GetInstance => databases::get_instance(call),
        O::RemoveInstance => databases::remove_instance(call),
        O::WaitForInstance => databases::wait_for_instance(call),
        O::PromoteInstance => databases::promote_instance(call),
        O::ListDatabaseTokens => tokens::list_of_database(call),
        O::CreateDatabaseToken => tokens::create_for_database(call),
        O::CreateDatabaseTokenById => tokens::create_for_database_by_id(call),
        O::RevokeDatabaseToken => tokens::revoke_of_database(call),
        O::RotateDatabaseTokens => tokens::rotate_of_database(call),

        O::Check => ApiReply::of("findings", &call.plane()?.check(false)?),
        O::Mend => ApiReply::of("findings", &call.plane()?.check(true)?),

        // Handled elsewhere: with a streamed body, or without a caller.
        O::BeginUpload
        | O::GetUpload
        | O::PutChunk
        | O::DropUpload
        | O::UploadDump
        | O::ExportDatabase
        | O::Landing
        | O::Health
        | O::Ready
        | O::Metrics
        | O::LatestRelease
        | O::AcceptInvite => Err(Error::new(Code::Internal, "this is answered elsewhere")),
    }
}
