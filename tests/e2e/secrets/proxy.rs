//! A proxy that asks for a password, and knows where the collector is now.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// The name that the proxy knows agents by.
pub(crate) const USER: &str = "agent-7";

/// What the password is in a request.
pub(crate) fn credentials(password: &str) -> String {
    STANDARD.encode(format!("{USER}:{password}"))
}

/// The running proxy; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// Where the one authority is that it leads to.
    collector: Arc<Mutex<Option<SocketAddr>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Leads to `authority`, and nowhere else.
    pub(crate) async fn start(authority: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self { address, collector: Arc::default(), told: Arc::default() };
        let opened = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Either end may break off.
                tokio::spawn(opened.clone().lead(client, authority));
            }
        });
        proxy
    }

    /// The collector is there now.
    pub(crate) fn lead_to(&self, collector: SocketAddr) {
        *self.collector.lock().unwrap() = Some(collector);
    }

    /// Whether a client has told these credentials.
    pub(crate) fn was_told(&self, credentials: &str) -> bool {
        self.told.lock().unwrap().iter().any(|head| head.contains(credentials))
    }

    async fn lead(self, client: TcpStream, authority: &str) -> std::io::Result<()> {
        let mut client = BufReader::new(client);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if client.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let is_ours = head.starts_with(&format!("CONNECT {authority} "));
        let knows = head.to_lowercase().contains("proxy-authorization: basic ");
        self.told.lock().unwrap().push(head);
        let collector = *self.collector.lock().unwrap();
        let answer = match collector.filter(|_| is_ours && knows) {
            Some(collector) => {
                let mut collector = TcpStream::connect(collector).await?;
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                copy_bidirectional(&mut client, &mut collector).await?;
                return Ok(());
            }
            None if !knows => "407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"test\"",
            None => "502 Bad Gateway",
        };
        client.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await
    }
}
