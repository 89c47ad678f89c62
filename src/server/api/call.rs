//! A request, taken apart: the caller, the operation, the parameters. Names become types here, once.

use super::body;
use crate::control::hosted::{Caller, Hosted};
use crate::control::names::OrganizationSlug;
use crate::control::{Accounts, ControlPlane, LIST_PAGE};
use crate::error::{Code, Error, Result};
use axum::body::Bytes;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The names of path parameters.
pub(super) const PARAMETERS: [&str; 14] = [
    "organizationSlug",
    "organizationId",
    "databaseName",
    "databaseId",
    "groupName",
    "groupId",
    "instanceName",
    "location",
    "username",
    "issuerName",
    "email",
    "tokenName",
    "tokenId",
    "uploadId",
];

/// The operation and its parameters, before the caller is known.
#[derive(Debug, Clone)]
pub(super) struct RequestTarget {
    pub parameters: BTreeMap<&'static str, String>,
    pub query: BTreeMap<String, String>,
    /// The client's `User-Agent`.
    pub agent: String,
}

impl RequestTarget {
    /// The organization in the path, unparsed.
    pub fn organization(&self) -> Option<&str> {
        let named = ["organizationSlug", "organizationId"].map(|name| self.parameters.get(name));
        named.into_iter().flatten().next().map(String::as_str)
    }
}

/// A request of an authenticated caller.
pub(super) struct OperationCall<'a> {
    pub hosted: &'a Hosted,
    pub caller: &'a Caller,
    pub target: &'a RequestTarget,
    body: Bytes,
    /// None for the caller's personal organization. Where the path names none, a token that is for one organization means
    /// that.
    organization: Option<OrganizationSlug>,
}

impl<'a> OperationCall<'a> {
    pub fn new(hosted: &'a Hosted, caller: &'a Caller, target: &'a RequestTarget, body: Bytes) -> Result<Self> {
        let organization = organization(hosted, caller, target)?;
        Ok(Self {
            hosted,
            caller,
            target,
            body,
            organization,
        })
    }

    /// The control plane of the request's organization, as the caller may use it.
    pub fn plane(&self) -> Result<Box<dyn ControlPlane + '_>> {
        self.hosted.plane(self.caller, self.organization.as_ref())
    }

    pub fn accounts(&self) -> Box<dyn Accounts + '_> {
        self.hosted.accounts(self.caller)
    }

    /// The request's organization; none for the caller's personal one.
    pub fn slug(&self) -> Option<&OrganizationSlug> {
        self.organization.as_ref()
    }

    /// The request's organization. The personal one has its owner's name.
    pub fn organization(&self) -> Result<OrganizationSlug> {
        match &self.organization {
            Some(slug) => Ok(slug.clone()),
            None => self.caller.username().as_str().parse(),
        }
    }

    /// A path parameter, as text.
    pub fn text(&self, parameter: &'static str) -> Result<&str> {
        self.target
            .parameters
            .get(parameter)
            .map(String::as_str)
            .ok_or_else(|| Error::new(Code::Internal, format!("the path has no {parameter}")))
    }

    /// A path parameter, parsed.
    pub fn name<T: FromStr<Err = Error>>(&self, parameter: &'static str) -> Result<T> {
        self.text(parameter)?.parse()
    }

    /// A query parameter; none if it is empty.
    pub fn query(&self, key: &str) -> Option<&str> {
        self.target
            .query
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A query parameter, parsed.
    pub fn query_as<T: FromStr<Err = Error>>(&self, key: &str) -> Result<Option<T>> {
        self.query(key).map(str::parse).transpose()
    }

    /// A query parameter that is a number.
    pub fn number(&self, key: &str) -> Result<Option<u64>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                Error::new(Code::InvalidValue, format!("{key} is {text:?}, which is not a number"))
                    .hint(format!("write {key}=10"))
            })
        };
        self.query(key).map(parse).transpose()
    }

    /// How many items of a list are wanted at most: all without a limit, else no more than a page has.
    pub fn page_limit(&self) -> Result<usize> {
        let limit = self.number("limit")?;
        Ok(limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(LIST_PAGE).clamp(1, LIST_PAGE)
        }))
    }

    /// A query parameter that is a time.
    pub fn time(&self, key: &str) -> Result<Option<Timestamp>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                Error::new(Code::InvalidValue, format!("{key} is {text:?}, which is not a time"))
                    .hint("write a time with its zone, such as 2026-01-31T00:00:00Z")
            })
        };
        self.query(key).map(parse).transpose()
    }

    /// The body, deserialized.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T> {
        body::read(body::object(&self.body)?)
    }
}

/// The organization in the path, by its slug or id.
pub(super) fn organization(
    hosted: &Hosted,
    caller: &Caller,
    target: &RequestTarget,
) -> Result<Option<OrganizationSlug>> {
    let unknown = |text: &str| {
        Error::new(Code::OrganizationNotFound, format!("there is no organization {text:?}"))
            .hint("torso org list shows yours")
    };
    if let Some(text) = target.parameters.get("organizationSlug") {
        // A text that is not a valid name belongs to no organization.
        return text.parse().map(Some).map_err(|_| unknown(text));
    }
    let Some(text) = target.parameters.get("organizationId") else {
        return hosted.organization_of_token(caller);
    };
    let mine = hosted.accounts(caller).list_organizations()?;
    mine.into_iter()
        .find(|organization| organization.id == *text || organization.slug.as_str() == text)
        .map(|organization| Some(organization.slug))
        .ok_or_else(|| unknown(text))
}

/// The query parameters of a request. If a key comes twice, the last one counts.
pub(super) fn query(parts: &Parts) -> BTreeMap<String, String> {
    let text = parts.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// Percent-decodes a segment of a path; none if the result is not UTF-8. A `%` without two hexadecimal digits stands
/// for itself.
pub(super) fn decode(segment: &str) -> Option<String> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        match (byte, digits) {
            (b'%', (Some(high), Some(low))) => {
                decoded.push(u8::try_from(high * 16 + low).ok()?);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_segments_are_decoded_once() {
        for (segment, text) in [
            ("a", "a"),
            ("me%40example.com", "me@example.com"),
            ("%252e", "%2e"),
            ("..%2Fx", "../x"),
            ("100%", "100%"),
            ("%g0", "%g0"),
        ] {
            assert_eq!(decode(segment).as_deref(), Some(text));
        }
        assert_eq!(decode("%ff"), None);
    }
}
