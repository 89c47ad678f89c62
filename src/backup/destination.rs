//! Where backups are: a directory, or a bucket of object storage with a prefix.

use crate::error::{Code, Error, Result};
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place for backups, as users write it: a path, or `s3://BUCKET/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupDestination {
    Directory(PathBuf),
    S3 {
        bucket: String,
        /// Without `/` at either end; empty for the whole bucket.
        prefix: String,
    },
}

impl FromStr for BackupDestination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Err(
                Error::new(Code::InvalidValue, format!("{text:?} is no place for backups: {why}"))
                    .hint("give a directory, or s3://BUCKET/PREFIX"),
            )
        };
        if text.is_empty() {
            return refuse("it is empty");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::Directory(text.into()));
        };
        if scheme != "s3" {
            return refuse("only s3:// is known");
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_bucket = bucket.len() >= 3
            && bucket.len() <= 63
            && bucket
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
        if !is_bucket {
            return refuse("a bucket's name has 3 to 63 of a-z, 0-9, . and -");
        }
        let prefix = prefix.trim_matches('/');
        let is_segment = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_segment) {
            return refuse("a prefix has letters, digits, ., -, _ and single slashes");
        }
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for BackupDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
impl schemars::JsonSchema for BackupDestination {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BackupDestination".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "A path, or `s3://BUCKET/PREFIX`." })
    }
}

impl Serialize for BackupDestination {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destination_is_a_path_or_a_bucket() {
        let path = "/srv/backups".parse::<BackupDestination>().unwrap();
        assert_eq!(path, BackupDestination::Directory("/srv/backups".into()));
        for (text, shown) in [("s3://torso", "s3://torso"), ("s3://torso/a/b/", "s3://torso/a/b")] {
            assert_eq!(text.parse::<BackupDestination>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn destination_of_another_form_is_refused() {
        for wrong in [
            "",
            "gs://bucket",
            "https://example.com/x",
            "s3://",
            "s3://ab",
            "s3://Bucket",
            "s3://user:secret@bucket",
            "s3://bucket/a//b",
            "s3://bucket/../x",
            "s3://bucket/a b",
        ] {
            let error = wrong.parse::<BackupDestination>().unwrap_err();
            assert_eq!(error.code(), Code::InvalidValue, "{wrong}");
        }
    }
}
