//! Object storage that speaks the protocol of S3, set up by the variables and files that AWS's own programs read.

use crate::error::{Code, Error, Result};
use object_store::ObjectStore;

/// Opens a bucket. Nothing is sent yet.
#[cfg(feature = "object-storage")]
pub(super) fn open(bucket: &str) -> Result<Box<dyn ObjectStore>> {
    use object_store::aws::AmazonS3Builder;
    use object_store::{BackoffConfig, ClientOptions, RetryConfig};
    use std::time::Duration;

    crate::net::use_ring();
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(
            ClientOptions::new()
                .with_connect_timeout(Duration::from_secs(5))
                .with_timeout_disabled()
                .with_read_timeout(Duration::from_secs(30))
                // Servers of one's own are reached as their address says.
                .with_allow_http(true),
        )
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 4,
            retry_timeout: Duration::from_secs(30),
        });
    if let Some(stored) = credentials::find()? {
        builder = builder
            .with_access_key_id(stored.access_key_id)
            .with_secret_access_key(stored.secret_access_key);
        if let Some(token) = stored.session_token {
            builder = builder.with_token(token);
        }
    }
    let store = builder.build().map_err(|error| {
        Error::new(Code::BackupStorage, format!("cannot use s3://{bucket}"))
            .caused_by(error)
            .hint("check AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    })?;
    Ok(Box::new(store))
}

#[cfg(not(feature = "object-storage"))]
pub(super) fn open(bucket: &str) -> Result<Box<dyn ObjectStore>> {
    Err(Error::new(
        Code::Unsupported,
        format!("this torso was built without object storage and cannot use s3://{bucket}"),
    )
    .hint("give a directory, or build torso with its feature object-storage"))
}

/// Credentials in a file, as AWS's own programs write and read it.
#[cfg(feature = "object-storage")]
mod credentials {
    use crate::error::{Code, Error, Result};
    use std::ffi::OsString;
    use std::path::PathBuf;

    /// What opens a bucket.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub struct StoredCredentials {
        pub access_key_id: String,
        pub secret_access_key: String,
        pub session_token: Option<String>,
    }

    /// The credentials of the profile that `AWS_PROFILE` names, else of `default`, in the file of `AWS_SHARED_CREDENTIALS_FILE`,
    /// else in `~/.aws/credentials`. None where the environment has credentials of its own, or there is no file.
    pub fn find() -> Result<Option<StoredCredentials>> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let others = [
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ];
        if others.into_iter().any(is_set) {
            return Ok(None);
        }
        let named = std::env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        let usual = dirs::home_dir().map(|home| home.join(".aws").join("credentials"));
        let Some(path) = named.clone().or(usual) else {
            return Ok(None);
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(None),
            Err(error) => return Err(Error::io(error, format!("cannot read {}", path.display()))),
        };
        let profile = std::env::var_os("AWS_PROFILE").unwrap_or_else(|| OsString::from("default"));
        let profile = profile.to_string_lossy();
        match parse(&text, &profile) {
            Some(found) => Ok(Some(found)),
            None => Err(Error::new(
                Code::BackupStorage,
                format!("{} has no keys of the profile {profile}", path.display()),
            )
            .hint("AWS_PROFILE chooses a profile; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY do without the file")),
        }
    }

    /// The credentials of a profile, if both halves are there.
    pub fn parse(text: &str, profile: &str) -> Option<StoredCredentials> {
        let mut found = StoredCredentials::default();
        let mut is_ours = false;
        for line in text.lines().map(str::trim) {
            if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                is_ours = section.trim() == profile;
                continue;
            }
            let Some((name, value)) = line
                .split_once('=')
                .filter(|_| is_ours && !line.starts_with(['#', ';']))
            else {
                continue;
            };
            let value = value.trim().to_owned();
            match name.trim() {
                "aws_access_key_id" => found.access_key_id = value,
                "aws_secret_access_key" => found.secret_access_key = value,
                "aws_session_token" => found.session_token = Some(value),
                _ => {}
            }
        }
        (!found.access_key_id.is_empty() && !found.secret_access_key.is_empty()).then_some(found)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn credentials_of_a_profile_are_found_in_a_file() {
            let text = "# keys\n[default]\naws_access_key_id = one\naws_secret_access_key=two/+=\n\n[other]\n\
                        aws_access_key_id=three\naws_secret_access_key=four\naws_session_token = five\n[half]\n\
                        aws_access_key_id=six\n";
            let default = parse(text, "default").unwrap();
            assert_eq!(
                (&*default.access_key_id, &*default.secret_access_key),
                ("one", "two/+=")
            );
            assert_eq!(default.session_token, None);
            assert_eq!(parse(text, "other").unwrap().session_token.as_deref(), Some("five"));
            assert_eq!(parse(text, "half"), None);
            assert_eq!(parse(text, "absent"), None);
        }
    }
}
