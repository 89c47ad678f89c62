//! Endpoints that no trait of a plane stands behind: those without a token, files on their way, and what Turso Cloud has and a
//! self-hosted server does not.

/// Endpoints that are answered without a token.
macro_rules! public_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            /// The login page, and the nearest region for clients that ask for it.
            Landing, Public(public::landing): public Get "/", public Get "/signup";
            Health, Public(public::health): public Get "/health";
            Ready, Public(public::ready): public Get "/ready";
            Metrics, Public(public::metrics): public Get "/metrics";
            /// The newest release of the official CLI. The answer is the client's own version, so that it asks for no update.
            LatestRelease, Public(public::latest_release): public Get "/releases/latest";
            /// Makes a user of the bearer of an invitation. Not in the Platform API.
            AcceptInvite, Public(public::accept_invite): public Post "/v1/invitations/accept";
        }
    };
}
pub(crate) use public_endpoints;

/// Uploads and downloads. Of these, only dumps are in the Platform API.
macro_rules! file_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            UploadDump, TransferOnce(files::upload_dump): scoped Post "/databases/dumps";
            ExportDatabase, Transfer(files::export_database): scoped Get "/databases/{databaseName}/export";
            BeginUpload, Repeatable(files::begin_upload): scoped Post "/uploads";
            GetUpload, Transfer(files::get_upload): scoped Get "/uploads/{uploadId}";
            PutChunk, Transfer(files::put_chunk): scoped Put "/uploads/{uploadId}";
            DropUpload, Repeatable(files::drop_upload): scoped Delete "/uploads/{uploadId}";
        }
    };
}
pub(crate) use file_endpoints;

/// What the official CLI asks for and a self-hosted server does not have: payment, keys of other issuers, and moving a group to
/// another cloud. The answers say so.
macro_rules! absent_endpoints {
    ($next:ident $($others:ident)*; $($rows:tt)*) => {
        $next! {
            $($others)*; $($rows)*
            PaymentAccount, Repeatable(absent::payment_account): global Post "/v1/organizations/stripe-customer";
            PaymentPortal, Repeatable(absent::payment_portal): global Post "/v1/billing/portal";
            PaymentMethods, Call(absent::payment_methods): global Get "/v1/billing/payment-methods";
            Subscribe, Repeatable(absent::subscribe): scoped Post "/subscription";
            BillingCustomer, Repeatable(absent::billing_customer):
                scoped Get "/billing/customer",
                scoped Put "/billing/customer";
            ListIssuers, Call(absent::list_issuers): global Get "/v2/organizations/{organizationSlug}/jwks";
            AddIssuer, Repeatable(absent::refuse_issuers):
                global Put "/v2/organizations/{organizationSlug}/jwks/{issuerName}";
            RemoveIssuer, Repeatable(absent::remove_issuer):
                global Delete "/v2/organizations/{organizationSlug}/jwks/{issuerName}";
            IssuerTemplate, Call(absent::refuse_issuers):
                global Get "/v2/organizations/{organizationSlug}/jwks-template";
            MigrationInfo, Call(absent::migration_info): scoped Get "/groups/{groupName}/aws/migration/info";
            Migrate, Repeatable(absent::migrate):
                scoped Post "/groups/{groupName}/aws/migration/start",
                scoped Post "/groups/{groupName}/aws/migration/abort";
        }
    };
}
pub(crate) use absent_endpoints;
