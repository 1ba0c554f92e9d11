//! The call layer: names the RPC (default deny), requires an identity, bounds the call, logs and counts it.
//!
//! Order: path → row of the table → identity → place in the concurrency limit → deadline → service, with panics caught.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use allmende_store::Store;
use futures::FutureExt;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::Instrument;

use super::{
    authentication::{Authentication, Shown},
    consistency,
    share::Shares,
};
use crate::{authz::policy, context::Rpc, error::AppError, metrics::ApiMetrics, status::NO_MESSAGE};

/// Services that are not of the contract, open to every caller with an identity.
pub(super) const REFLECTION_PREFIX: &str = "/grpc.reflection.";

/// All callers without an identity count as this one.
const JOINING: &str = "joining";

/// Limits of one call.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// Calls under way at once; one more is refused.
    pub concurrency: usize,
    /// The same of one caller.
    pub of_one_caller: usize,
    /// Longest time to the first response; a shorter `grpc-timeout` wins. Streams of an operator live longer: their response begins at once.
    pub deadline: Duration,
}

/// Makes [`CallService`]s that share one limit and one set of metrics.
#[derive(Debug, Clone)]
pub struct CallLayer {
    permits: Arc<Semaphore>,
    shares: Shares,
    deadline: Duration,
    authentication: Authentication,
    metrics: ApiMetrics,
    store: Store,
}

impl CallLayer {
    /// With these limits; `store` is the one that the services read.
    pub fn new(
        limits: CallLimits,
        authentication: Authentication,
        metrics: ApiMetrics,
        store: Store,
    ) -> Self {
        Self {
            store,
            permits: Arc::new(Semaphore::new(limits.concurrency)),
            shares: Shares::new(limits.of_one_caller),
            deadline: limits.deadline,
            authentication,
            metrics,
        }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CallService { inner, layer: self.clone() }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct CallService<S> {
    inner: S,
    layer: CallLayer,
}

impl<S> Service<Request<Body>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The service that was polled ready answers; its clone waits for the next call.
        let standby = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, standby);
        let layer = self.layer.clone();
        Box::pin(async move { layer.run(ready, request).await })
    }
}

impl CallLayer {
    async fn run<S>(self, service: S, request: Request<Body>) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
    {
        let started = Instant::now();
        let rpc = policy::row_of(request.uri()).map_or("unknown", |row| row.rpc);
        let span = tracing::info_span!(
            "call",
            rpc,
            caller = tracing::field::Empty,
            member = tracing::field::Empty,
            request_id = tracing::field::Empty
        );
        let in_flight = self.metrics.enter();
        let wish = consistency::wish(request.headers());
        let (outcome, token) = match wish {
            Ok(freshness) => {
                self.store.reading(freshness, self.guarded(service, request)).instrument(span.clone()).await
            }
            Err(wrong) => (Err(wrong), None),
        };
        drop(in_flight);
        let mut response = match outcome {
            Ok(response) => readable(response?),
            Err(refused) => Status::from(refused).into_http(),
        };
        consistency::tell(response.headers_mut(), token.as_ref());
        let code = code_of(response.headers());
        let elapsed = started.elapsed();
        self.metrics.finished(rpc, code, elapsed);
        span.in_scope(|| tracing::info!(code = ?code, duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), "call"));
        Ok(response)
    }

    /// The outer error is a refusal of this layer, the inner one the service's own.
    async fn guarded<S>(
        &self,
        mut service: S,
        mut request: Request<Body>,
    ) -> Result<Result<Response<Body>, S::Error>, AppError>
    where
        S: Service<Request<Body>, Response = Response<Body>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
    {
        if let Some(refused) = no_grpc(&request) {
            return Ok(Ok(refused));
        }
        let row = policy::row_of(request.uri());
        let shown = Shown::of(request.headers(), request.extensions());
        let caller = if row.is_some_and(policy::Row::is_for_joining) {
            JOINING.to_owned()
        } else {
            let who = self.authentication.check(shown, row, request.uri().path()).await?;
            let caller = who.identity.to_string();
            request.extensions_mut().insert(who);
            caller
        };
        match row {
            Some(row) => {
                request.extensions_mut().insert(Rpc(row));
            }
            None if request.uri().path().starts_with(REFLECTION_PREFIX) => {}
            None => {
                let description = "this method is not part of allmende.v1".to_owned();
                return Err(AppError::Forbidden { description });
            }
        }
        let _place = self.shares.take(&caller).ok_or_else(|| AppError::LimitExceeded {
            description:
                "too many calls of yours at once: wait for some to end, then repeat with the same request_id"
                    .to_owned(),
        })?;
        let _permit = self.permits.try_acquire().map_err(|_| AppError::LimitExceeded {
            description: "too many calls at once: repeat in a second with the same request_id".to_owned(),
        })?;
        let deadline = deadline(request.headers()).map_or(self.deadline, |asked| asked.min(self.deadline));
        let call = AssertUnwindSafe(service.call(request)).catch_unwind();
        match tokio::time::timeout(deadline, call).await {
            Err(_elapsed) => Err(AppError::DeadlineExceeded),
            Ok(Err(panic)) => Err(AppError::internal(format!("panic: {}", panic_text(panic.as_ref())))),
            Ok(Ok(answer)) => Ok(answer),
        }
    }
}

/// The answer to what is no gRPC call at all (gRPC over HTTP/2, "Requests"): tonic itself takes any method and content type.
fn no_grpc(request: &Request<Body>) -> Option<Response<Body>> {
    let kind = request.headers().get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let status = if request.method() != Method::POST {
        StatusCode::METHOD_NOT_ALLOWED
    } else if !matches!(kind, Some(b"application/grpc" | b"application/grpc+proto")) {
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    } else {
        return None;
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Some(response)
}

/// tonic calls it INTERNAL when a request cannot be decoded. That is the sender's mistake and must not look like ours: every INTERNAL of
/// the error table has details, this one has none.
fn readable(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if code_of(headers) != Code::Internal || headers.contains_key("grpc-status-details-bin") {
        return response;
    }
    Status::from(AppError::invalid("request", NO_MESSAGE)).into_http()
}

/// The client's `grpc-timeout`: up to eight digits and a unit.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.saturating_mul(3600))),
        "M" => Some(Duration::from_secs(number.saturating_mul(60))),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Errors answer with headers alone; a response without `grpc-status` there succeeded so far.
fn code_of(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_timeout_is_read_in_every_unit_and_nonsense_is_ignored() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            deadline(&headers)
        };
        assert_eq!(read("5S"), Some(Duration::from_secs(5)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(read("S"), None);
        assert_eq!(read("-1S"), None);
        assert_eq!(read("123456789S"), None);
    }
}
