//! What a use case knows about a call before it looks at the request: who calls, which RPC, when.

use allmende_identity::Identity;
use jiff::Timestamp;
use tonic::Request;

use crate::{
    authn::Authenticated,
    authz::policy::{self, Row},
    clock::Clock,
    error::AppError,
};

/// The RPC of a call; put into the request by [`layers::call`](crate::layers::call) from the request path.
#[derive(Debug, Clone, Copy)]
pub struct Rpc(pub &'static Row);

/// Identity, RPC and time of one call.
#[derive(Debug, Clone)]
pub struct Context {
    /// From the verified certificate and token, never from anything the client can set otherwise.
    pub caller: Authenticated,
    /// Row of the authorisation table.
    pub row: &'static Row,
    /// Taken once: every decision of one call sees the same time.
    pub now: Timestamp,
}

impl Context {
    /// Reads the context of a request. Fails closed when the layer that names the RPC is missing.
    pub fn of<T>(request: &Request<T>, clock: &dyn Clock) -> Result<Self, AppError> {
        let caller = request.extensions().get::<Authenticated>().cloned().ok_or(AppError::Unauthenticated)?;
        let Rpc(row) = request
            .extensions()
            .get::<Rpc>()
            .copied()
            .ok_or_else(|| AppError::internal("a request came past the call layer"))?;
        Ok(Self { caller, row, now: clock.now() })
    }

    /// For tests of use cases and for work without a transport.
    pub fn new(identity: Identity, rpc: &str, now: Timestamp) -> Result<Self, AppError> {
        let row = policy::row(rpc).ok_or_else(|| AppError::internal(format!("no row for {rpc}")))?;
        Ok(Self { caller: Authenticated::by_certificate(identity), row, now })
    }
}
