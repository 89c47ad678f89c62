//! Which machine is which location: one-time tokens, joining, replacing and removing.

use super::Nodes;
use crate::control::builtin_locations;
use crate::control::gateway_plane::{AccessRequest, Public};
use crate::control::hosted::organization::locations_in_use;
use crate::control::hosted::secrets::{hash, secret};
use crate::control::hosted::store::{ClientAddress, JoinTokenRow, JoinedMachine, NodeRow};
use crate::control::hosted::{Shared, new_id};
use crate::control::names::LocationCode;
use crate::control::node_status::NodeInvitation;
use crate::error::{Code, Error, Result};
use crate::link::{JoinApproval, JoinRequest, NodeName};
use crate::secret::Secret;
use crate::sync::lock;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::fmt::Display;
use std::time::{Duration, Instant};
use url::Url;

/// The beginning of the text of a one-time token.
const JOIN_TOKEN: &str = "torsonode_";

/// How long a one-time token can be used.
const JOIN_TOKEN_VALIDITY: SignedDuration = SignedDuration::from_mins(10);

/// Bytes of the longest address of a machine.
const LONGEST_ADDRESS: usize = 1024;

/// How long a machine may take to delete its replicas while a caller waits for that.
const DELETION: Duration = Duration::from_secs(5);

/// What a location in use does not become.
const NO_NODE: &str = "a machine of its own cannot be that location";

/// The fingerprint of the server's authority, which a one-time token has behind its secret; none for another text.
#[must_use]
pub fn join_token_fingerprint(token: &str) -> Option<&str> {
    let (secret, fingerprint) = token.strip_prefix(JOIN_TOKEN)?.split_once('.')?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (!secret.is_empty() && fingerprint.len() == 64 && fingerprint.bytes().all(is_hex)).then_some(fingerprint)
}

impl Nodes {
    fn row(&self, location: &str) -> Option<NodeRow> {
        let rows = lock(&self.rows);
        rows.values().find(|row| row.location.as_str() == location).cloned()
    }
}

impl Shared {
    /// Makes a location one of another machine, or lets another machine take its place; returns what that machine joins with.
    pub(in crate::control::hosted) fn invite_node(&self, location: &LocationCode) -> Result<NodeInvitation> {
        let link = self.nodes.listening()?;
        let _deciding = lock(&self.nodes.membership);
        self.check_node_location(location)?;
        let token = format!("{}.{}", secret(JOIN_TOKEN)?, link.authority.fingerprint());
        let known = self.nodes.row(location.as_str());
        let is_new = known.is_none();
        if is_new {
            self.reserve_location(location)?;
        }
        let now = Timestamp::now();
        let expires_at = now + JOIN_TOKEN_VALIDITY;
        let row = NodeRow {
            location: location.clone(),
            created_at: known.as_ref().map_or(now, |known| known.created_at),
            node: known.and_then(|known| known.node),
            token: Some(JoinTokenRow {
                hash: hash(&token),
                expires_at,
                used_by: None,
            }),
        };
        self.store_node(row).inspect_err(|_| {
            if is_new {
                self.nodes.remote.remove(location.as_str());
            }
        })?;
        Ok(NodeInvitation {
            location: location.clone(),
            server: link.address.clone(),
            token: Secret::new(token),
            expires_at,
        })
    }

    /// Fails where [`Self::invite_node`] would, and changes nothing.
    pub(in crate::control::hosted) fn check_invited_node(&self, location: &LocationCode) -> Result<()> {
        self.nodes.listening()?;
        self.check_node_location(location)?;
        match self.nodes.row(location.as_str()) {
            Some(_) => Ok(()),
            None => self.check_reservable(location),
        }
    }

    /// Fails where [`Self::remove_node`] would, and changes nothing.
    pub(in crate::control::hosted) fn check_removed_node(&self, location: &LocationCode) -> Result<()> {
        self.removable_row(location).map(drop)
    }

    fn check_node_location(&self, location: &LocationCode) -> Result<()> {
        self.sqld()?;
        if builtin_locations::find(location.as_str()).is_none() {
            return Err(
                Error::new(Code::LocationNotFound, format!("no machine can be location {location}"))
                    .hint("use the code of an airport near it: torso location list"),
            );
        }
        Ok(())
    }

    /// Makes a location one of the server's own again. Refused while anything is wanted there.
    pub(in crate::control::hosted) fn remove_node(&self, location: &LocationCode) -> Result<()> {
        let _deciding = lock(&self.nodes.membership);
        let row = self.removable_row(location)?;
        for organization in self.records().organizations()? {
            self.plane_of(&organization)?.forget_former_primaries(location)?;
        }
        self.await_deletion(location)?;
        {
            let records = self.records();
            records.write(|| records.delete_node(location))?;
        }
        lock(&self.nodes.rows).remove(location);
        self.nodes.remote.remove(location.as_str());
        self.nodes.access.forget(location.as_str());
        self.disconnect(&row);
        tracing::info!(%location, "a location on another machine was removed");
        Ok(())
    }

    /// The row of a location on another machine at which nothing is wanted.
    fn removable_row(&self, location: &LocationCode) -> Result<NodeRow> {
        let row = self.nodes.row(location.as_str()).ok_or_else(|| {
            Error::new(
                Code::LocationNotFound,
                format!("location {location} is not on another machine"),
            )
            .hint("torso location list shows those that are")
        })?;
        let so = "its machine cannot be removed";
        self.check_unused(location, so)?;
        // Files of former primaries that never came back are not waited for.
        self.check_free(location, false, so)?;
        Ok(row)
    }

    /// Makes an unused location one of another machine. From then on no primary can be put there; what was being put there meanwhile is
    /// seen under the lock of its organization.
    fn reserve_location(&self, location: &LocationCode) -> Result<()> {
        // Before as well: what is refused then is not taken for another machine's for a moment.
        self.check_reservable(location)?;
        self.nodes.remote.add(location.as_str());
        self.check_free(location, true, NO_NODE)
            .inspect_err(|_| self.nodes.remote.remove(location.as_str()))
    }

    /// Fails where a location cannot be one of another machine.
    fn check_reservable(&self, location: &LocationCode) -> Result<()> {
        if *location == self.default_location()? {
            return Err(Error::new(
                Code::Conflict,
                format!("new databases go to {location} by default, so a machine of its own cannot be that location"),
            )
            .hint(
                "choose another location, or let the server begin its list with another one: torso server --locations",
            ));
        }
        self.check_unused(location, NO_NODE)?;
        self.check_free(location, true, NO_NODE)
    }

    /// Fails while an organization has, or is still to remove, anything at a location; `with_kept`, also while the files of a former
    /// primary may come back there. Waits for changes under way.
    fn check_free(&self, location: &LocationCode, with_kept: bool, so: &str) -> Result<()> {
        let organizations = self.records().organizations()?;
        for organization in organizations {
            if self.plane_of(&organization)?.uses_location(location, with_kept)? {
                return Err(in_use(&organization.slug, location, so));
            }
        }
        Ok(())
    }

    /// Waits a little until the machine of a location that nothing uses has deleted what it had. One that is away is not waited for.
    fn await_deletion(&self, location: &LocationCode) -> Result<()> {
        let began = Instant::now();
        self.nodes.remote.signal_change();
        loop {
            let last = self.nodes.remote.last_report(location.as_str());
            if !last.is_some_and(|last| last.is_current() && last.instances > 0) {
                return Ok(());
            }
            if began.elapsed() > DELETION {
                return Err(Error::new(
                    Code::Conflict,
                    format!("the machine of location {location} is still deleting its replicas"),
                )
                .hint("try again in a moment; the log of torso node there has the reason if it does not end"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Fails while an organization has anything at a location.
    fn check_unused(&self, location: &LocationCode, so: &str) -> Result<()> {
        let organizations = self.records().organizations()?;
        for organization in organizations {
            if locations_in_use(&self.plane_of(&organization)?)?.contains(location) {
                return Err(in_use(&organization.slug, location, so));
            }
        }
        Ok(())
    }

    fn store_node(&self, row: NodeRow) -> Result<()> {
        {
            let records = self.records();
            records.write(|| records.set_node(&row))?;
        }
        lock(&self.nodes.rows).insert(row.location.clone(), row);
        Ok(())
    }

    /// Notes where clients reach the machine of a location, as that says.
    pub(super) fn note_node_clients(&self, location: &str, request: &AccessRequest) -> Result<()> {
        let clients = request.url.as_ref().map(|url| ClientAddress {
            url: url.clone(),
            domain: request.domain.clone(),
        });
        let is_noted = |row: &NodeRow| row.node.as_ref().is_none_or(|machine| machine.clients == clients);
        if self.nodes.row(location).is_none_or(|row| is_noted(&row)) {
            return Ok(());
        }
        if !clients.as_ref().is_none_or(is_client_address) {
            return Err(Error::new(
                Code::InvalidValue,
                format!("the machine of location {location} says no address at which clients reach it"),
            ));
        }
        let _deciding = lock(&self.nodes.membership);
        let Some(mut row) = self.nodes.row(location) else {
            return Ok(());
        };
        if let Some(machine) = &mut row.node {
            machine.clients = clients;
            tracing::info!(
                location,
                url = request.url,
                "the address for clients of a location has changed"
            );
            self.store_node(row)?;
        }
        Ok(())
    }

    /// Where clients reach the machine of a location; none where it serves none.
    pub(in crate::control::hosted) fn node_address(&self, location: &LocationCode) -> Option<Public> {
        let clients = self.nodes.row(location.as_str())?.node?.clients?;
        Some(Public {
            base: clients.url.parse().ok()?,
            domain: clients.domain,
        })
    }

    /// Ends the connections of the machine that a location was.
    fn disconnect(&self, row: &NodeRow) {
        let name = row
            .node
            .as_ref()
            .map(|machine| NodeName::new(row.location.as_str(), &machine.id));
        if let (Ok(link), Some(Ok(name))) = (self.nodes.listening(), name) {
            link.server.disconnect(&name);
        }
    }

    /// Lets a machine be the location of its token, in place of the one that was it before.
    pub(super) fn join_node(&self, request: &JoinRequest) -> Result<JoinApproval> {
        let token_hash = hash(request.token.expose());
        let _deciding = lock(&self.nodes.membership);
        let now = Timestamp::now();
        let again = "torso location add LOCATION --node prints another one";
        let rows = lock(&self.nodes.rows).clone();
        let found = rows
            .values()
            .find_map(|row| Some((row, row.token.as_ref().filter(|token| token.hash == token_hash)?)));
        let Some((row, token)) = found else {
            return Err(Error::new(Code::Unauthenticated, "the join token is not valid").hint(again));
        };
        let location = &row.location;
        match (&token.used_by, &row.node) {
            (Some(key), Some(machine)) if *key == request.public_key => return approval(location, &machine.id),
            (Some(_), _) => {
                return Err(Error::new(
                    Code::Unauthenticated,
                    format!("the join token of location {location} was used already"),
                )
                .hint(again));
            }
            (None, _) if token.expires_at <= now => {
                return Err(Error::new(
                    Code::Unauthenticated,
                    format!("the join token of location {location} has expired"),
                )
                .hint(again));
            }
            (None, _) => {}
        }
        let advertise = request.details["advertise"].as_str().filter(|text| is_address(text));
        let advertise = advertise.unwrap_or_default().to_owned();
        let id = new_id();
        self.store_node(NodeRow {
            node: Some(JoinedMachine {
                id: id.clone(),
                advertise,
                joined_at: now,
                clients: None,
            }),
            token: Some(JoinTokenRow {
                used_by: Some(request.public_key.clone()),
                ..token.clone()
            }),
            ..row.clone()
        })?;
        // Nothing is known of what it has.
        self.nodes.remote.add(location.as_str());
        self.nodes.access.forget(location.as_str());
        self.disconnect(row);
        approval(location, &id)
    }

    /// Fails when a machine is not its location any more.
    pub(super) fn check_node(&self, node: &NodeName) -> Result<()> {
        let row = self.nodes.row(node.location());
        if row
            .and_then(|row| row.node)
            .is_some_and(|machine| machine.id == node.node())
        {
            return Ok(());
        }
        let location = node.location();
        Err(Error::new(
            Code::Forbidden,
            format!("this machine is not location {location} any more"),
        )
        .hint(format!(
            "torso location add {location} --node prints what lets it join again"
        )))
    }
}

fn in_use(slug: impl Display, location: &LocationCode, so: &str) -> Error {
    Error::new(
        Code::LocationInUse,
        format!("organization {slug} has databases or groups in {location}, so {so}"),
    )
    .hint(format!(
        "torso db list --location {location} shows which; torso group locations remove GROUP {location} removes replicas"
    ))
}

/// Whether a text can be a host, with a port or without: it is shown to the operator.
fn is_address(text: &str) -> bool {
    text.len() <= 261
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

/// Whether an address of a machine is one that clients can be told.
fn is_client_address(address: &ClientAddress) -> bool {
    let is_url = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let domain = address.domain.as_deref();
    address.url.len() <= LONGEST_ADDRESS
        && Url::parse(&address.url).is_ok_and(|url| is_url(&url))
        && domain.is_none_or(is_address)
}

fn approval(location: &LocationCode, id: &str) -> Result<JoinApproval> {
    Ok(JoinApproval {
        node: NodeName::new(location.as_str(), id)?,
        details: json!({}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_address_that_is_none_is_not_shown() {
        for text in ["lhr.example.com", "192.0.2.8:8443", "[2001:db8::7]:1"] {
            assert!(is_address(text), "{text}");
        }
        for text in ["a b", "\u{1b}[2J", "x\ny", &"a".repeat(262)] {
            assert!(!is_address(text), "{text:?}");
        }
    }

    #[test]
    fn join_token_has_the_fingerprint_of_its_server() {
        let fingerprint = "0f".repeat(32);
        let token = format!("{}.{fingerprint}", secret(JOIN_TOKEN).unwrap());
        assert_eq!(join_token_fingerprint(&token), Some(fingerprint.as_str()));
        for wrong in [
            "",
            "torso_abc",
            "torsonode_abc",
            "torsonode_.00",
            &token[1..],
            &token[..token.len() - 1],
            &token.to_uppercase(),
        ] {
            assert_eq!(join_token_fingerprint(wrong), None, "{wrong}");
        }
    }
}
