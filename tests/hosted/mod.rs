//! The self-hosted plane: accounts, permissions, tokens, labels, quotas, and the suite of every control plane over it.

mod accounts;
mod backups;
mod files;
mod limits;
mod matrix;
mod moves;
mod plane;
mod races;
mod tokens;

use crate::conformance::{at, db, request};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use torso::control::gateway_plane::Public;
use torso::control::hosted::{CallOrigin, Caller, Engines, Hosted, HostedOptions};
use torso::control::names::OrganizationSlug;

/// A hosted plane over files in a directory of its own, and its owner.
struct World {
    hosted: Arc<Hosted>,
    owner: String,
    dir: TempDir,
}

fn public() -> Public {
    Public {
        base: "http://127.0.0.1:8080".parse().unwrap(),
        domain: None,
    }
}

pub fn options(dir: &Path) -> HostedOptions {
    HostedOptions {
        data_dir: dir.join("data"),
        engine: Engines::Files,
        locations: None,
        owner: Some("alice".parse().unwrap()),
        public: public(),
    }
}

impl World {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut HostedOptions)) -> Self {
        let dir = tempfile::Builder::new().prefix("torso-hosted-").tempdir().unwrap();
        let mut options = options(dir.path());
        change(&mut options);
        let (hosted, token) = Hosted::open(options).unwrap();
        Self {
            hosted: Arc::new(hosted),
            owner: token.unwrap().expose().to_owned(),
            dir,
        }
    }

    fn caller(&self, token: &str) -> Caller {
        self.hosted.authenticate(token, &origin()).unwrap()
    }

    fn owner(&self) -> Caller {
        self.caller(&self.owner)
    }

    /// A new user in a team: the user's token.
    fn user(&self, team: &str, name: &str, role: &str) -> String {
        let owner = self.owner();
        let invite = self
            .hosted
            .accounts(&owner)
            .create_invite(&slug(team), &format!("{name}@example.com"), role.parse().unwrap())
            .unwrap();
        let link = invite.link.unwrap();
        let text = link.expose().split_once("invite=").unwrap().1.to_owned();
        let (_, token) = self.hosted.accept_invite(&text, &name.parse().unwrap(), None).unwrap();
        token.expose().to_owned()
    }
}

pub fn origin() -> CallOrigin {
    CallOrigin {
        client: "test".to_owned(),
        request_id: "r1".to_owned(),
        ..CallOrigin::default()
    }
}

pub fn slug(text: &str) -> OrganizationSlug {
    text.parse().unwrap()
}
