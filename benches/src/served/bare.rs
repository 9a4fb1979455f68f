//! A client that sends what was made before and reads what comes: the least that a call over each transport can cost.

use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mortise_plugin_api::{
    Wire,
    wire::{WireContext, WireGlobal},
};
use mortise_proto::{
    contextforge::{context_to, cpex, payload_of},
    json::Struct,
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use super::{HOOK, PLUGIN, payload};

type Post = Request<Full<Bytes>>;
type Client = cpex::plugin_service_client::PluginServiceClient<tonic::transport::Channel>;

/// A bare exchange over one transport.
pub(super) enum Bare {
    Http(Box<(http1::SendRequest<Full<Bytes>>, Post)>),
    Grpc(Box<(Client, cpex::InvokeHookRequest)>),
    Unix { stream: UnixStream, frame: Vec<u8> },
}

fn context() -> WireContext {
    let global_context = WireGlobal { request_id: "bench".into(), ..WireGlobal::default() };
    WireContext { global_context, ..WireContext::default() }
}

/// The message of the gRPC and socket transports.
fn message() -> anyhow::Result<cpex::InvokeHookRequest> {
    Ok(cpex::InvokeHookRequest {
        hook_type: HOOK.into(),
        plugin_name: PLUGIN.into(),
        payload: Some(Struct::Encoded(payload_of(payload().payload())?)),
        context: Some(context_to(&context())),
    })
}

/// The message of the MCP transport, and its headers.
fn post(address: &str) -> anyhow::Result<Request<Full<Bytes>>> {
    let (payload, context) = (payload(), serde_json::to_string(&context())?);
    let payload = String::from_utf8_lossy(payload.json(Wire::Json)?);
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"invoke_hook","arguments":{{"hook_type":"{HOOK}","plugin_name":"{PLUGIN}","payload":{payload},"context":{context}}}}}}}"#
    );
    let uri: Uri = address.parse()?;
    Ok(Request::post(uri.path())
        .header("host", uri.authority().context("an address with a host")?.as_str())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(Full::from(body))?)
}

impl Bare {
    pub(super) async fn connect(transport: &str, address: &str, folder: &Path) -> anyhow::Result<Self> {
        let socket = folder.join("p.sock");
        Ok(match transport {
            "http" => {
                let request = post(address)?;
                let authority = request.headers()["host"].to_str()?;
                let stream = TcpStream::connect(authority).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                // Ends with the sender.
                tokio::spawn(connection);
                Self::Http(Box::new((sender, request)))
            }
            "grpc" => {
                let endpoint =
                    tonic::transport::Endpoint::from_shared(format!("unix://{}", socket.display()))?;
                let client = cpex::plugin_service_client::PluginServiceClient::new(endpoint.connect().await?);
                Self::Grpc(Box::new((client, message()?)))
            }
            _ => {
                let body = message()?.encode_to_vec();
                let mut frame = u32::try_from(body.len())?.to_be_bytes().to_vec();
                frame.extend(body);
                Self::Unix { stream: UnixStream::connect(socket).await?, frame }
            }
        })
    }

    pub(super) async fn exchange(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Http(http) => {
                let (sender, request) = &mut **http;
                sender.ready().await?;
                let answer = sender.send_request(request.clone()).await?;
                ensure!(answer.status().is_success(), "a bare post was answered with {}", answer.status());
                answer.into_body().collect().await?;
            }
            Self::Grpc(grpc) => {
                let (client, message) = &mut **grpc;
                client.invoke_hook(message.clone()).await?;
            }
            Self::Unix { stream, frame } => {
                stream.write_all(frame).await?;
                let mut body = vec![0; stream.read_u32().await? as usize];
                stream.read_exact(&mut body).await?;
            }
        }
        Ok(())
    }
}
