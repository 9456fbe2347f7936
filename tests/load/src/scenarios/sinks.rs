//! Where messages go: a sink for mail that speaks as much SMTP as a client needs to be rid of a mail, and keeps nothing; and
//! the settings that lead a server to a sink.

use std::io;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The settings of a server whose SMS go to the test kit's API at this URL.
pub fn sms_settings(url: &str) -> [(&'static str, &str); 5] {
    [
        ("sms.transport", "twilio"),
        ("sms.base_url", url),
        ("sms.account_sid", "AC1"),
        ("sms.auth_token", "secret"),
        ("sms.from", "+15005550006"),
    ]
}

/// The settings of a server whose mail goes to the SMTP server at this URL.
pub fn mail_settings(url: &str) -> [(&'static str, &str); 2] {
    [("mail.transport", "smtp"), ("mail.smtp_url", url)]
}

/// On a free port and a thread of its own; ends with the process.
pub struct SmtpSink {
    pub port: u16,
}

impl SmtpSink {
    pub fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(swallow(stream));
                }
                #[expect(unreachable_code, reason = "names the error's type")]
                io::Result::Ok(())
            })
        });
        Ok(Self { port })
    }
}

async fn swallow(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await?;
    let mut line = Vec::new();
    let mut in_content = false;
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match (in_content, line.as_slice()) {
            (true, b".\r\n") => b"250 2.0.0 Ok: queued as SINK\r\n",
            (true, _) => continue,
            (false, verb) if verb.starts_with(b"DATA") => b"354 go on\r\n",
            (false, verb) if verb.starts_with(b"QUIT") => b"221 bye\r\n",
            _ => b"250 OK\r\n",
        };
        in_content = reply.starts_with(b"354");
        stream.write_all(reply).await?;
    }
}
