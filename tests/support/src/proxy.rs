//! A real nginx, Caddy or Envoy on free ports, with its configuration of `config/gateway`.

use crate::redis::free_port;
use crate::tools::tool;
use crate::wait::Wait;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Nginx,
    Caddy,
    Envoy,
}

/// What stands behind a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Behind {
    pub portcullis: SocketAddr,
    /// The service behind the gateway.
    pub guarded: SocketAddr,
    /// The service that asks by introspection.
    pub asking: SocketAddr,
}

/// A running proxy; ended when dropped.
pub struct Proxy {
    /// Where the service behind the gateway is reached.
    pub guarded: SocketAddr,
    /// Where a request is answered that has its credential in the body. Envoy sends the body with its question, and the others
    /// leave it to a service that asks.
    pub in_body: SocketAddr,
    folder: TempDir,
    child: Child,
}

impl Proxy {
    /// With the addresses of its configuration replaced.
    ///
    /// # Panics
    /// When the program is not installed, or starts on none of five pairs of ports.
    pub async fn start(program: Program, behind: Behind) -> Self {
        let mut said = String::new();
        for _ in 0..5 {
            // If another process has taken a port meanwhile, the program ends, and other ports are tried.
            match Self::try_start(program, behind).await {
                Ok(proxy) => return proxy,
                Err(log) => said = log,
            }
        }
        panic!("{program:?} does not come up: is it installed (apt-get install nginx-light caddy)? {said}")
    }

    /// It, or what it said before it ended.
    async fn try_start(program: Program, behind: Behind) -> Result<Self, String> {
        let [guarded, asking] = [free_port(), free_port()].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let in_body = if program == Program::Envoy { guarded } else { asking };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (mut command, site) = program.command(folder.path());
        let addresses = [
            ("8000", guarded),
            ("8080", behind.portcullis),
            ("8090", behind.guarded),
            ("8001", asking),
            ("8091", behind.asking),
        ];
        let mut text = site.to_owned();
        for (port, address) in &addresses[..if program == Program::Envoy { 3 } else { 5 }] {
            let placed = [":", "port_value: "].iter().fold(text.clone(), |text, before| {
                text.replace(&format!("{before}{port}"), &format!("{before}{}", address.port()))
            });
            assert_ne!(placed, text, "the configuration has no port {port}");
            text = placed;
        }
        std::fs::write(folder.path().join("site.yaml"), text).expect("a file");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let child = command.spawn().map_err(|error| error.to_string())?;
        let mut proxy = Self { guarded, in_body, folder, child };
        let wait = Wait::begin();
        while TcpStream::connect(guarded).await.is_err() || TcpStream::connect(in_body).await.is_err() {
            if proxy.child.try_wait().expect("a child of this process").is_some() {
                return Err(std::fs::read_to_string(proxy.folder.path().join("log")).unwrap_or_default());
            }
            wait.pause("the proxy listens").await;
        }
        Ok(proxy)
    }
}

impl Program {
    /// How it is started in a folder, where its site is `site.yaml`; and the site as it is in the repository.
    fn command(self, folder: &Path) -> (Command, &'static str) {
        match self {
            Self::Nginx => {
                let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
                let temporary = temporary.map(|kind| format!("{kind}_temp_path {kind};")).concat();
                let main = format!(
                    "daemon off; master_process off; pid pid; error_log stderr; events {{}} \
                     http {{ access_log off; {temporary} include site.yaml; }}"
                );
                std::fs::write(folder.join("nginx.conf"), main).expect("a file");
                let mut command = Command::new("/usr/sbin/nginx");
                command.arg("-p").arg(folder).args(["-e", "stderr", "-c", "nginx.conf"]);
                (command, include_str!("../../../config/gateway/nginx.conf"))
            }
            Self::Caddy => {
                std::fs::write(folder.join("Caddyfile"), "{\n\tadmin off\n}\nimport site.yaml\n").expect("a file");
                let mut command = Command::new("caddy");
                command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
                command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
                (command, include_str!("../../../config/gateway/Caddyfile"))
            }
            Self::Envoy => {
                let mut command = Command::new(tool("bin/envoy"));
                // More than one may run on a machine.
                command.args(["-c", "site.yaml", "--use-dynamic-base-id", "--concurrency", "1"]);
                (command, include_str!("../../../config/gateway/envoy.yaml"))
            }
        }
    }
}
