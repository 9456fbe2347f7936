//! `serve`: runs the server until a signal stops it.

use super::{Context, Failure};
use crate::app::demo;
use crate::config::{Config, Profile};
use crate::connections;
use crate::server::Server;
use crate::stopper::Stopper;
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
    /// Listen on other addresses than loopback although the demo password and the demo key are public.
    #[arg(long)]
    demo_anywhere: bool,
}

#[expect(clippy::disallowed_methods, reason = "the watch for signals ends with the process")]
pub(super) async fn run(context: &Context, arguments: &ServeArguments) -> Result<(), Failure> {
    let config = context.full_config()?;
    if config.profile == Profile::Development && !config.server.bind.ip().is_loopback() && !arguments.demo_anywhere {
        return Err(Failure(
            "`server.bind`: the development profile listens on loopback only, because its demo credentials are public; see --demo-anywhere"
                .to_owned(),
        ));
    }
    telemetry::init(&config.log.filter, config.log.format).map_err(Failure)?;
    let (profile, has_inbox) = (config.profile, demo::has_inbox(&config));
    warn(&config);
    connections::open_files::raise_limit();
    let mut signals = Signals::catch().map_err(|error| Failure(format!("cannot wait for signals: {error}")))?;
    // A start may wait long for a lock on a table.
    let server = tokio::select! {
        built = Server::build(config, Arc::new(SystemClock)) => built?,
        () = signals.next() => {
            tracing::info!("stopped before it served anything");
            return Ok(());
        }
    };
    let watch = actix_web::rt::spawn(signals.stop(server.stopper()));
    let url = format!("http://{}", server.address());
    let metrics = server.admin_address().map(|address| format!("http://{address}/metrics"));
    context.output.answer(&json!({"url": url, "profile": profile, "metrics": metrics}), || match profile {
        Profile::Development => demo::greeting(&url, server.admin_address(), has_inbox),
        _ => {
            let metrics = metrics.map(|url| format!("\nMetrics: {url}")).unwrap_or_default();
            format!("Portcullis listens on {url} ({profile} profile).{metrics}")
        }
    });
    let ended = server.run().await;
    watch.abort();
    ended.map_err(Failure::because)
}

/// Warns of settings that are allowed but risky.
fn warn(config: &Config) {
    if config.profile != Profile::Production {
        return;
    }
    if config.server.public_url.as_str().starts_with("http://") {
        tracing::warn!("server.public_url is not https: links that set passwords cross the network in the clear");
    }
    if !config.limits.enabled {
        tracing::warn!("limits.enabled is off: guesses of passwords and requests for codes are not limited");
    }
}

/// SIGTERM and SIGINT. They are caught before the server prints that it listens.
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

    /// The first signal stops the server gracefully: it drains, and then it ends. During the drain, the second one skips
    /// the rest of it. After that, another one ends the process.
    #[expect(clippy::disallowed_methods, reason = "a second signal must be seen while the server stops")]
    async fn stop(mut self, stopper: Stopper) {
        self.next().await;
        if stopper.drains() {
            tracing::info!("draining: new requests are served until load balancers notice; a second signal skips this");
        }
        tokio::select! {
            () = stopper.drain() => {}
            () = self.next() => {}
        }
        tracing::info!("stopping: open requests are finished; another signal stops at once");
        actix_web::rt::spawn(async move { stopper.stop().await });
        self.next().await;
        std::process::exit(1);
    }
}
