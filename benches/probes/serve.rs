//! Answers HTTP requests on all addresses of a port, each connection once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime;

/// Answers until it is ended.
pub(crate) fn serve(port: u16) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
        let listener = socket.listen(65_535)?;
        loop {
            let (connection, _) = listener.accept().await?;
            tokio::spawn(answer(connection));
        }
    })
}

/// Answers a request; a client that resets the connection is as welcome as one that closes it.
async fn answer(mut connection: TcpStream) {
    let mut request = [0; 4096];
    let mut length = 0;
    while let Ok(read) = connection.read(&mut request[length..]).await {
        length += read;
        if read == 0 || length == request.len() {
            return;
        }
        if request[..length].ends_with(b"\r\n\r\n") {
            let _ = connection
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                .await;
            return;
        }
    }
}
