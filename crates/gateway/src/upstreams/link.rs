//! Opening a connection to an upstream: shared by all, or for one client's session alone.

use std::{sync::Arc, time::Duration};

use mortise_mcp_transport::{
    chain::Chain,
    stdio::upstream::{ChildState, StdioConfig, StdioUpstream},
    upstream::{Connection, Hello, HttpOptions, Initialized, connect_http},
};

use super::upstream::Transport;

/// An open connection and what keeps it alive. Dropped, a child process is killed.
#[derive(Debug)]
pub struct Link {
    /// The connection.
    pub connection: Connection,
    /// What the server said of itself.
    pub initialized: Arc<Initialized>,
    child: Option<StdioUpstream>,
}

impl Link {
    /// Opens a connection of its own.
    ///
    /// # Errors
    /// A sentence for people: why it could not be opened.
    pub async fn open(transport: &Transport, hello: Hello) -> Result<Self, String> {
        match transport {
            Transport::Http(endpoint) => {
                let (http, initialized) = connect_http(endpoint, &hello, HttpOptions::default())
                    .await
                    .map_err(|error| Chain(&error).to_string())?;
                Ok(Self {
                    connection: Connection::Http(http),
                    initialized: Arc::new(initialized),
                    child: None,
                })
            }
            Transport::Stdio(config) => {
                let patience = hello.timeout;
                let child = StdioUpstream::start(StdioConfig::clone(config), hello);
                let (connection, initialized) = ready(&child, patience).await?;
                Ok(Self { connection, initialized, child: Some(child) })
            }
            Transport::OpenApi(api) => {
                let (connection, initialized) = api.open().await?;
                Ok(Self { connection, initialized, child: None })
            }
        }
    }

    /// Ends it.
    pub async fn close(self) {
        self.connection.close().await;
        if let Some(child) = self.child {
            child.stop().await;
        }
    }
}

async fn ready(child: &StdioUpstream, patience: Duration) -> Result<(Connection, Arc<Initialized>), String> {
    let mut state = child.state();
    let wait = async {
        loop {
            match &*state.borrow_and_update() {
                ChildState::Ready { connection, initialized } => {
                    return Ok((Connection::Pipe(connection.clone()), initialized.clone()));
                }
                ChildState::Failing { fault, .. } => return Err(Chain(&**fault).to_string()),
                ChildState::Stopped => return Err("it was stopped".to_owned()),
                ChildState::Starting => {}
            }
            if state.changed().await.is_err() {
                return Err("it was stopped".to_owned());
            }
        }
    };
    tokio::time::timeout(patience, wait).await.unwrap_or_else(|_| Err("it did not start in time".to_owned()))
}
