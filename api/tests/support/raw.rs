//! Calls with raw bytes, so that one loop can call every method.

use http::uri::PathAndQuery;
use tonic::{client::Grpc, transport::Channel};

/// How long a stream that began may say nothing.
const QUIET: std::time::Duration = std::time::Duration::from_secs(1);

/// Sends and receives bytes as they are.
#[derive(Debug, Clone, Default)]
pub struct Bytes;

impl tonic::codec::Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), tonic::Status> {
        use prost::bytes::BufMut;
        into.put_slice(&item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn decode(&mut self, from: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<Vec<u8>>, tonic::Status> {
        use prost::bytes::Buf;
        let mut all = vec![0; from.remaining()];
        from.copy_to_slice(&mut all);
        Ok(Some(all))
    }
}

/// Calls a method with one message and gives how it ended, or OK once an answer began.
pub async fn call(channel: Channel, path: &str, body: Vec<u8>) -> tonic::Status {
    call_with(channel, path, body, &[]).await
}

/// The same with metadata.
pub async fn call_with(
    channel: Channel,
    path: &str,
    body: Vec<u8>,
    metadata: &[(&'static str, &str)],
) -> tonic::Status {
    let mut client = Grpc::new(channel);
    if let Err(error) = client.ready().await {
        return tonic::Status::from_error(error.into());
    }
    let path: PathAndQuery = path.parse().unwrap();
    let mut request = tonic::Request::new(body);
    for (name, value) in metadata {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    match client.server_streaming(request, path, Bytes).await {
        Err(status) => status,
        Ok(response) => match tokio::time::timeout(QUIET, response.into_inner().message()).await {
            Ok(Err(status)) => status,
            // A stream that has nothing to tell yet has begun all the same.
            Ok(Ok(_)) | Err(_) => tonic::Status::ok(""),
        },
    }
}
