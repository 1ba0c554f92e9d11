//! The floor: what a call costs when nothing is done in it. The acceptor, the TLS and the HTTP/2 settings are those of the API.

use std::{convert::Infallible, path::PathBuf, task::Poll};

use allmende_identity::{Acceptor, AcceptorLimits, ServerTls, ServerTlsPaths};
use allmende_proto::v1;
use futures::future::{BoxFuture, Ready, ready};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;

/// See the module.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Empty {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    tls_cert: PathBuf,
    #[arg(long)]
    tls_key: PathBuf,
    #[arg(long)]
    client_ca: PathBuf,
}

/// Answers every call of `GetEntitlement` with the same entitlement.
#[derive(Clone)]
struct Constant;

impl UnaryService<v1::GetEntitlementRequest> for Constant {
    type Response = v1::Entitlement;
    type Future = Ready<Result<Response<v1::Entitlement>, Status>>;

    fn call(&mut self, request: Request<v1::GetEntitlementRequest>) -> Self::Future {
        let amounts =
            || Some(v1::Resources { cpu_milli: 10_000, memory_bytes: 1 << 34, ..Default::default() });
        ready(Ok(Response::new(v1::Entitlement {
            name: request.into_inner().name,
            guaranteed: amounts(),
            reserved: amounts(),
            etag: "0123456789abcdef01234567".to_owned(),
            ..Default::default()
        })))
    }
}

impl NamedService for Constant {
    const NAME: &'static str = "allmende.v1.QuotaService";
}

impl tower::Service<http::Request<Body>> for Constant {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(Constant, request).await) })
    }
}

/// Serves until it is killed.
pub(crate) async fn serve(empty: Empty) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", empty.port)).await?;
    let paths =
        ServerTlsPaths { cert: empty.tls_cert, key: empty.tls_key, client_ca: empty.client_ca, crl: None };
    let acceptor = Acceptor::spawn(listener, ServerTls::load(paths)?, AcceptorLimits::default());
    tonic::transport::Server::builder()
        .max_concurrent_streams(256)
        .add_service(Constant)
        .serve_with_incoming(acceptor)
        .await?;
    Ok(())
}
