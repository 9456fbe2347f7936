//! `serve`: runs the server until it is told to stop.

use super::{Refused, Shell};
use crate::app::demo;
use crate::config::{Config, Profile};
use crate::connections;
use crate::server::{Server, Stopper};
use crate::telemetry;
use clap::Args;
use portcullis_actors::clock::SystemClock;
use serde_json::json;
use std::io;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug, Default, Args)]
#[command(after_help = "Example:\n  portcullis serve --config /etc/portcullis.toml")]
pub(super) struct ServeArguments {
    /// Listen beyond this machine with demo data, whose password and key everybody can read.
    #[arg(long)]
    demo_anywhere: bool,
}

pub(super) async fn run(shell: &Shell, arguments: &ServeArguments) -> Result<(), Refused> {
    let config = shell.whole_config()?;
    if config.profile == Profile::Development && !config.server.bind.ip().is_loopback() && !arguments.demo_anywhere {
        return Err(Refused(
            "`server.bind`: the development profile listens on loopback only, because of its demo data; see --demo-anywhere"
                .to_owned(),
        ));
    }
    telemetry::init(&config.log.filter, config.log.format).map_err(Refused)?;
    let profile = config.profile;
    warn(&config);
    connections::files::raise_limit();
    let signals = Signals::catch().map_err(|error| Refused(format!("signals cannot be waited for: {error}")))?;
    let server = Server::build(config, Arc::new(SystemClock)).await?;
    let watch = actix_web::rt::spawn(signals.stop(server.stopper()));
    let url = format!("http://{}", server.address());
    shell.output.answer(&json!({"url": url, "profile": profile}), || match profile {
        Profile::Development => demo::greeting(&url),
        _ => format!("Portcullis listens on {url} ({profile} profile)."),
    });
    let ended = server.run().await;
    watch.abort();
    ended.map_err(Refused::because)
}

/// What is allowed, and still unwise.
fn warn(config: &Config) {
    if config.profile != Profile::Production {
        return;
    }
    if config.server.public_url.as_str().starts_with("http://") {
        tracing::warn!("server.public_url is not https: links that set passwords cross the network in the clear");
    }
    if !config.limits.enabled {
        tracing::warn!("limits.enabled is off: nothing slows down who guesses passwords or has codes sent");
    }
}

/// SIGTERM and SIGINT, caught from before the server says that it listens.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The first stops the server in order, the second ends the process at once.
    async fn stop(mut self, stopper: Stopper) {
        self.next().await;
        tracing::info!("stopping: what was accepted is finished; a second signal ends at once");
        actix_web::rt::spawn(async move { stopper.stop().await });
        self.next().await;
        std::process::exit(1);
    }
}
