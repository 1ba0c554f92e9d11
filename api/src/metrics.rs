//! Metrics of the API. Labels come from closed sets: the RPCs of the table and the gRPC codes.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tonic::Code;

use crate::app::{audit::AuditMetrics, holdings::HoldingsMetrics};

/// Labels of a finished call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    rpc: &'static str,
    code: &'static str,
}

/// Labels of a duration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabels {
    rpc: &'static str,
}

/// Labels of a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    outcome: &'static str,
}

/// All metrics; clones share them.
#[derive(Debug, Clone)]
pub struct ApiMetrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<RpcLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    desired_streams: Gauge,
    tokens: Family<TokenLabels, Counter>,
    audit: AuditMetrics,
    holdings: HoldingsMetrics,
}

/// Counts one thing under way until dropped.
#[derive(Debug)]
pub struct UnderWay(Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn call_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl ApiMetrics {
    /// Registers everything in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(call_seconds),
            in_flight: Gauge::default(),
            desired_streams: Gauge::default(),
            tokens: Family::default(),
            audit: AuditMetrics::register(registry),
            holdings: HoldingsMetrics::register(registry),
        };
        registry.register("allmende_api_calls", "Finished calls by RPC and code", metrics.calls.clone());
        registry.register(
            "allmende_api_call_seconds",
            "Time to the response's head",
            metrics.seconds.clone(),
        );
        registry.register("allmende_api_calls_in_flight", "Calls under way", metrics.in_flight.clone());
        let streams = metrics.desired_streams.clone();
        registry.register(
            "allmende_api_desired_streams",
            "Clusters that follow their desired state",
            streams,
        );
        registry.register(
            "allmende_api_tokens",
            "Access tokens by outcome: accepted, or what was wrong first",
            metrics.tokens.clone(),
        );
        metrics
    }

    /// A token was checked; `outcome` is from a closed set.
    pub fn token(&self, outcome: &'static str) {
        self.tokens.get_or_create(&TokenLabels { outcome }).inc();
    }

    /// Those of the audit.
    pub fn audit(&self) -> AuditMetrics {
        self.audit.clone()
    }

    /// Those of the pool.
    pub fn holdings(&self) -> HoldingsMetrics {
        self.holdings.clone()
    }

    /// A call begins.
    pub fn enter(&self) -> UnderWay {
        self.in_flight.inc();
        UnderWay(self.in_flight.clone())
    }

    /// A cluster begins to follow.
    pub fn follow(&self) -> UnderWay {
        self.desired_streams.inc();
        UnderWay(self.desired_streams.clone())
    }

    /// A call ended.
    pub fn finished(&self, rpc: &'static str, code: Code, elapsed: Duration) {
        self.calls.get_or_create(&CallLabels { rpc, code: code_name(code) }).inc();
        self.seconds.get_or_create(&RpcLabels { rpc }).observe(elapsed.as_secs_f64());
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
