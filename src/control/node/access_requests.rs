//! Asks the server for what is needed to serve clients, again and again. Each answer, also that there is no news, says that what is
//! known is so still.

use super::clients::{NodePlane, ServeSettings};
use super::known_access::{FILE, NodeAccess};
use super::{Node, PAUSE, RETRY};
use crate::control::gateway_plane::{AccessRequest, AccessState};
use crate::error::{Code, Error, Result};
use serde::Deserialize as _;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a request waits for news: so old is what is known at most, while the server is reached.
const WAIT: Duration = Duration::from_secs(2);

/// Begins to ask, on a thread of its own. Returns the plane of a machine that serves clients.
pub(super) fn start(node: &Arc<Node>, serve: Option<ServeSettings>) -> Result<Option<Arc<NodePlane>>> {
    let Some(serve) = serve else {
        let node = Arc::clone(node);
        spawn(move || node.withdraw_address())?;
        return Ok(None);
    };
    let sites = Arc::clone(node);
    let access = Arc::new(NodeAccess::open(
        node.dir.join(FILE),
        node.location.parse()?,
        serve.max_key_age,
        move |pool, instance| sites.engine.site(pool, instance),
    ));
    let plane = NodePlane::new(Arc::clone(node), Arc::clone(&access), serve.public.clone())?;
    let node = Arc::clone(node);
    spawn(move || node.follow_access(&access, &serve))?;
    Ok(Some(Arc::new(plane)))
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name("access".to_owned());
    thread
        .spawn(work)
        .map(drop)
        .map_err(|error| Error::io(error, "cannot start a thread"))
}

impl Node {
    /// Tells the server that no clients are served here, once.
    fn withdraw_address(&self) {
        let request = json!(AccessRequest::default());
        while self.link.request("access", &request).is_err() {
            std::thread::sleep(RETRY);
        }
    }

    /// Asks for as long as the process lives.
    fn follow_access(&self, access: &NodeAccess, serve: &ServeSettings) {
        let mut is_complete = true;
        loop {
            let known = access.known().filter(|_| is_complete);
            let state = known.as_ref().map(|known| &known.state);
            let request = AccessRequest {
                run: state.map(|state| state.run.clone()).unwrap_or_default(),
                generation: state.map_or(0, |state| state.generation),
                revoked: state.map_or(0, |state| state.revoked.len()),
                url: Some(serve.public.base.to_string()),
                domain: serve.public.domain.clone(),
                max_key_age: serve.max_key_age.as_secs(),
            };
            let answer = self.link.request_within("access", &json!(request), WAIT);
            if answer.is_ok() && !access.was_reached.swap(true, Ordering::SeqCst) {
                self.serve_with_primaries(access);
            }
            match answer {
                Ok(Some(answer)) => {
                    let taken = AccessState::deserialize(&answer)
                        .map_err(|cause| {
                            Error::new(Code::InvalidValue, "keys and labels cannot be understood").caused_by(cause)
                        })
                        .and_then(|state| access.take(state));
                    is_complete = taken.is_ok();
                    if let Err(error) = taken {
                        tracing::error!(
                            cause = error.full_message(),
                            hint = error.hint_text(),
                            "what clients may do is not known"
                        );
                        std::thread::sleep(RETRY);
                    }
                }
                Ok(None) => access.confirm(false),
                Err(error) => {
                    self.note_unreached(access, &error);
                    if !access.was_reached.load(Ordering::SeqCst) {
                        self.serve_without_primaries(access);
                    }
                }
            }
        }
    }

    /// Serves what there is: since the start of this process no primary could be reached.
    fn serve_without_primaries(&self, access: &NodeAccess) {
        for site in access.sites() {
            // Copies of large replicas take long: what is revoked meanwhile has to be heard of.
            if self.link.status().connected_since.is_some() {
                return;
            }
            if let Err(error) = self.engine.engine().serve_without_primary(&site) {
                let (database, cause) = (site.database_name(), error.full_message());
                tracing::warn!(database, cause, "a replica cannot be served without its primary");
            }
        }
    }

    /// Has replicas follow their primaries, which are reached now.
    fn serve_with_primaries(&self, access: &NodeAccess) {
        for site in access.sites() {
            if let Err(error) = self.engine.engine().serve_with_primary(&site) {
                let (database, cause) = (site.database_name(), error.full_message());
                tracing::warn!(database, cause, "a copy of a replica cannot be removed");
            }
        }
    }

    fn note_unreached(&self, access: &NodeAccess, error: &Error) {
        let is_refused = error.code() == Code::Forbidden || self.link.status().is_refused;
        if is_refused && access.known().is_some() {
            tracing::error!(location = %self.location, "this machine is its location no more, so it serves nobody");
            access.forget();
        }
        if error.code() == Code::Unavailable {
            std::thread::sleep(PAUSE);
        } else {
            tracing::warn!(cause = error.full_message(), "the server says no keys and labels");
            std::thread::sleep(RETRY);
        }
    }
}
