//! A quota as it is typed: `NAME=VALUE`, or `ORGANIZATION/NAME=VALUE` for one organization.

use super::values::Size;
use crate::control::accounts::QuotaSetting;
use crate::control::names::OrganizationSlug;
use crate::error::{Code, Error, Result};

/// A quota to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quota {
    pub organization: Option<OrganizationSlug>,
    pub name: String,
    pub value: u64,
}

impl Quota {
    pub(super) fn to_setting(&self) -> QuotaSetting {
        QuotaSetting {
            organization: self.organization.clone(),
            name: self.name.clone(),
            value: self.value,
        }
    }
}

pub(super) fn parse_quota(text: &str) -> Result<Quota> {
    let wrong = || {
        Error::new(Code::InvalidValue, format!("{text:?} is not a quota"))
            .hint("write NAME=VALUE or ORGANIZATION/NAME=VALUE, such as databases=50 or acme/storage=10gb")
    };
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let (organization, name) = match name.split_once('/') {
        Some((organization, name)) => (Some(organization.parse()?), name),
        None => (None, name),
    };
    let value: Size = value.parse()?;
    Ok(Quota {
        organization,
        name: name.to_owned(),
        value: value.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_is_parsed_with_and_without_an_organization() {
        let of =
            |text: &str| parse_quota(text).map(|quota| (quota.organization.map(String::from), quota.name, quota.value));
        assert_eq!(of("databases=5").unwrap(), (None, "databases".to_owned(), 5));
        assert_eq!(
            of("acme/storage=1gb").unwrap(),
            (Some("acme".to_owned()), "storage".to_owned(), 1 << 30)
        );
        for bad in ["", "databases", "databases=", "databases=many", "A/databases=1"] {
            assert!(parse_quota(bad).is_err(), "{bad}");
        }
    }
}
