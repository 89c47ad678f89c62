//! The fourth step: a request whose body was read, whose baton is of its database, and whose SQL is allowed.

use super::admitted::{Admitted, AdmittedParts};
use super::authorized::AuthorizedParts;
use super::position::{PositionUse, written_position};
use crate::control::gateway_plane::Route;
use crate::control::tokens::Authorization;
use crate::server::gateway::Core;
use crate::server::gateway::endpoints::{DataEndpoint, EndpointKind};
use crate::server::gateway::error::GatewayError;
use crate::server::gateway::limits::{MemoryPermit, Permit};
use crate::server::gateway::policy::{self, BodyEncoding, BodySummary, check_quota, check_relayed, replica_pragmas};
use crate::server::gateway::request_body::RequestBody;
use crate::server::gateway::streams::{
    KeptRead, StreamKind, StreamName, StreamRead, StreamSlot, StreamState, UnlabelledBody, ends_stream,
};
use crate::server::gateway::upstream::{TokenHeader, UpstreamRequest};
use crate::sqltext::policy::InstanceKind;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use std::sync::Arc;

/// A request that may be sent to its process.
pub struct Inspected {
    parts: InspectedParts,
    position: PositionUse,
}

pub struct InspectedParts {
    pub request: UpstreamRequest,
    pub endpoint: &'static DataEndpoint,
    pub route: Arc<Route>,
    pub token: String,
    pub permit: Permit,
    pub stream: StreamUse,
    pub write: WriteUse,
    /// Held until the process has answered.
    pub memory: Option<MemoryPermit>,
}

/// Whether a request may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteUse {
    ReadsOnly,
    /// It writes, or begins what may.
    Alone,
    /// It goes on with a stream in which a transaction may be open.
    InTransaction,
}

/// What a request has to do with streams.
pub struct StreamUse {
    /// Room for the stream that it leaves open, or finds open.
    pub slot: Option<StreamSlot>,
    /// The encoding of an answer whose baton gets a label.
    pub labelled: Option<BodyEncoding>,
    /// What the stream has after the request.
    pub state: StreamState,
    /// The baton of a stream in whose place a fresh one may serve, if it has ended.
    pub replaceable: Option<StreamName>,
    /// The request goes on with a stream.
    pub is_continued: bool,
    /// The request is a read, which runs there.
    pub read: Option<(StreamRead, ReadPlace)>,
}

impl StreamUse {
    /// Notes that the stream has written at a replica: what it reads there next has to be there.
    pub async fn note_written(&mut self, core: &Core, route: &Arc<Route>) {
        if let Some(slot) = &mut self.slot {
            slot.note_written(written_position(core, route).await);
        }
    }
}

/// In which stream a read runs that could have one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPlace {
    Own,
    OpenStream,
}

/// A body that was inspected.
struct InspectedBody {
    bytes: Bytes,
    memory: Option<MemoryPermit>,
    authorization: Authorization,
    slot: Option<StreamSlot>,
    state: StreamState,
    replaceable: Option<StreamName>,
    is_continued: bool,
    write: WriteUse,
    read: Option<(StreamRead, ReadPlace)>,
    /// It runs SELECTs only, in a stream that has nothing to lose.
    is_query: bool,
}

impl InspectedBody {
    fn empty(authorization: Authorization) -> Self {
        Self {
            bytes: Bytes::new(),
            memory: None,
            authorization,
            slot: None,
            state: StreamState::Settings,
            replaceable: None,
            is_continued: false,
            write: WriteUse::ReadsOnly,
            read: None,
            is_query: false,
        }
    }

    fn of_shared_read(shared: KeptRead, memory: Option<MemoryPermit>, authorization: Authorization) -> Self {
        let KeptRead { body, name, read } = shared;
        Self {
            bytes: body,
            memory,
            authorization,
            // Kept streams are bounded where they are kept.
            slot: None,
            state: StreamState::Clean,
            replaceable: name,
            is_continued: false,
            write: WriteUse::ReadsOnly,
            read: Some((read, ReadPlace::OpenStream)),
            is_query: true,
        }
    }

    fn is_read_in_open_stream(&self) -> bool {
        matches!(self.read, Some((_, ReadPlace::OpenStream)))
    }
}

impl Inspected {
    /// Reads and inspects a request's body.
    ///
    /// # Errors
    ///
    /// Those of [`RequestBody::read`] and [`policy::check_sql`], `BATON_INVALID`, `BLOCKED` over quota, `TOO_MANY_STREAMS`.
    pub async fn inspect(core: &Core, admitted: Admitted) -> Result<Self, GatewayError> {
        let AdmittedParts {
            request,
            headers,
            path,
            permit,
        } = admitted.into_parts();
        let AuthorizedParts {
            endpoint,
            route,
            token,
            authorization,
            head,
            body,
        } = request;
        let body = match endpoint.encoding {
            // Whatever comes is not wanted, and nobody waits for it.
            None => InspectedBody::empty(authorization),
            Some(encoding) => {
                let request = BodyRequest {
                    endpoint,
                    route: &route,
                    encoding,
                };
                request.inspect(core, authorization, &head.headers, body).await?
            }
        };
        let labelled = endpoint.encoding.filter(|encoding| {
            let answers_baton =
                matches!(endpoint.kind, EndpointKind::Call | EndpointKind::Cursor) && endpoint.names_a_stream();
            answers_baton
                && !body.is_read_in_open_stream()
                && !(endpoint.kind == EndpointKind::Call && ends_stream(*encoding, &body.bytes))
        });
        let position = PositionUse::new(
            &route,
            &head.headers,
            endpoint.kind,
            body.write != WriteUse::ReadsOnly,
            body.slot.as_ref().and_then(StreamSlot::written),
        )?;
        let parts = InspectedParts {
            request: UpstreamRequest {
                method: endpoint.method.clone(),
                path,
                headers,
                body: body.bytes,
                authorization: body.authorization,
                token_header: token_header(endpoint.kind),
                // A replica's process refuses to be dumped.
                to_primary: matches!(endpoint.kind, EndpointKind::Proxy | EndpointKind::Dump),
                is_repeatable: match endpoint.kind {
                    EndpointKind::Probe | EndpointKind::Dump | EndpointKind::Sync => true,
                    EndpointKind::Call | EndpointKind::Cursor => body.is_query,
                    EndpointKind::Proxy | EndpointKind::Socket => false,
                },
                is_query: body.is_query,
            },
            endpoint,
            route,
            token,
            permit,
            stream: StreamUse {
                slot: body.slot,
                labelled,
                state: body.state,
                replaceable: body.replaceable,
                is_continued: body.is_continued,
                read: body.read,
            },
            write: body.write,
            memory: body.memory,
        };
        Ok(Self { parts, position })
    }

    pub fn into_parts(self) -> (InspectedParts, PositionUse) {
        (self.parts, self.position)
    }
}

/// A request with a body.
struct BodyRequest<'r> {
    endpoint: &'static DataEndpoint,
    route: &'r Route,
    encoding: BodyEncoding,
}

impl BodyRequest<'_> {
    async fn inspect(
        &self,
        core: &Core,
        mut authorization: Authorization,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<InspectedBody, GatewayError> {
        let Self {
            endpoint,
            route,
            encoding,
        } = *self;
        let read_body = RequestBody::read(core, route, headers, body).await?;
        let UnlabelledBody {
            body,
            name,
            state: before,
        } = if endpoint.names_a_stream() {
            core.streams
                .remove_label(encoding, &route.id, route.epoch(), read_body.bytes)?
        } else {
            UnlabelledBody::unnamed(read_body.bytes)
        };
        let summary = self.check_sql(core, &body, authorization).await?;
        if authorization == Authorization::ReadOnly && summary.reads_with_full_access() {
            // The process would refuse it, although it only reads.
            authorization = Authorization::FullAccess;
        }
        let read = match self.parse_read(core, authorization, &summary, name.as_deref(), &body) {
            None => None,
            Some(read) => match core.reads.keep(read) {
                Ok(shared) => {
                    if shared.name.is_some() {
                        core.counters.count_shared_read();
                    }
                    return Ok(InspectedBody::of_shared_read(shared, read_body.memory, authorization));
                }
                Err(read) => Some((read, ReadPlace::Own)),
            },
        };
        let (mut state, mut replaceable) = (StreamState::Settings, None);
        if encoding == BodyEncoding::Json {
            state = before.after_request(&body);
            replaceable = name.clone().filter(|_| before.is_replaceable(&body));
        }
        // A stream that has a transaction or settings is lost with its process, and its client has to know.
        let is_query = matches!(endpoint.kind, EndpointKind::Call | EndpointKind::Cursor)
            && summary.is_all_queries()
            && (name.is_none() || replaceable.is_some());
        let is_continued = name.is_some();
        let may_be_open = is_continued && before != StreamState::Clean && endpoint.kind != EndpointKind::Proxy;
        let write = match summary.has_only_queries() {
            true => WriteUse::ReadsOnly,
            false if may_be_open => WriteUse::InTransaction,
            false => WriteUse::Alone,
        };
        let for_replica = (!route.is_primary)
            .then(|| replica_pragmas::rewrite_for_replica(encoding, &body))
            .flatten();
        let bytes = for_replica.map_or(body, Bytes::from);
        let slot = self.open_slot(core, &bytes, name)?;
        Ok(InspectedBody {
            bytes,
            memory: read_body.memory,
            authorization,
            slot,
            state,
            replaceable,
            is_continued,
            write,
            read,
            is_query,
        })
    }

    /// Finds and judges the SQL of a body.
    async fn check_sql(
        &self,
        core: &Core,
        body: &Bytes,
        authorization: Authorization,
    ) -> Result<BodySummary, GatewayError> {
        let summary = policy::check_sql(self.encoding, body, authorization, self.instance())
            .await
            .inspect_err(|error| {
                if error.is_about_sql() {
                    core.counters.count_refused_sql();
                }
            })?;
        check_quota(core, self.route, &summary)?;
        if !self.route.is_primary || self.endpoint.kind == EndpointKind::Proxy {
            check_relayed(body.len(), &summary)?;
        }
        Ok(summary)
    }

    /// The request as a read that may share a stream with others, if it is one: a single SELECT at a primary.
    fn parse_read(
        &self,
        core: &Core,
        authorization: Authorization,
        summary: &BodySummary,
        name: Option<&[u8]>,
        body: &Bytes,
    ) -> Option<StreamRead> {
        let may_share = self.endpoint.kind == EndpointKind::Call
            && self.endpoint.names_a_stream()
            && self.encoding == BodyEncoding::Json
            && self.route.is_primary
            && name.is_none()
            && summary.is_single_query();
        if !may_share {
            return None;
        }
        core.reads
            .parse(&self.route.id, authorization, self.endpoint.path, body)
    }

    /// The kind of instance that the request is for.
    fn instance(&self) -> InstanceKind {
        if self.route.is_primary || self.endpoint.kind == EndpointKind::Proxy {
            InstanceKind::Primary
        } else {
            InstanceKind::Replica
        }
    }

    /// Room for the stream or the client's connection that the request uses, if it leaves one open or finds one.
    fn open_slot(
        &self,
        core: &Core,
        body: &[u8],
        name: Option<StreamName>,
    ) -> Result<Option<StreamSlot>, GatewayError> {
        let endpoint = self.endpoint;
        let leaves_none = match endpoint.kind {
            EndpointKind::Call => ends_stream(self.encoding, body),
            EndpointKind::Cursor => false,
            _ => name.is_none(),
        };
        if !endpoint.names_a_stream() || (leaves_none && name.is_none()) {
            return Ok(None);
        }
        let mut slot = core
            .open
            .open_slot(&self.route.id, &self.route.location, name.as_deref())?;
        let is_client = endpoint.kind == EndpointKind::Proxy && !endpoint.path.ends_with("/Disconnect");
        if let Some(client) = name.filter(|_| is_client) {
            slot.keep_open(client, StreamKind::Client);
        }
        Ok(Some(slot))
    }
}

/// In which header the server's own token is sent to a process.
fn token_header(kind: EndpointKind) -> Option<TokenHeader> {
    match kind {
        EndpointKind::Probe => None,
        EndpointKind::Sync | EndpointKind::Proxy => Some(TokenHeader::XAuthorization),
        _ => Some(TokenHeader::Authorization),
    }
}
