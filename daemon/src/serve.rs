//! From start to stop: opens the store, adopts what runs, serves the API, and leaves in order.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use metaopt_core::{Node, NodeConfig, node::META_COUNTER};
use metaopt_schema::facts::Hardware;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    blobs::Fetcher,
    boot,
    config::{Config, HideData, LogFormat, Options},
    data_dir::{self, Identity},
    driver::{Clock, Shell},
    events::EventHub,
    exec::{ExecConfig, Executor, enclose},
    gc::Collector,
    gpu::Nvml,
    http, inventory,
    peer::{Limits, PeerConfig, Peers},
    platform::{self, files},
    roll, room,
    secrets::Secrets,
    store::{DATABASE, Store},
};

/// The port that people know.
const DEFAULT_PORT: u16 = 7878;
/// How often GPUs are looked at.
const LOOK_AT_GPUS: Duration = Duration::from_secs(5);
/// Memory for the curves of finished trials, as they are stored (about 30 bytes a point).
const CURVE_BYTES: usize = 32 << 20;
/// Longest run of a `setup` command.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(options: Options) -> Result<()> {
    let umask = platform::keep_files_private();
    let wanted = match &options.data_dir {
        Some(dir) => dir.clone(),
        None => data_dir::default_dir().map_err(anyhow::Error::msg)?,
    };
    let dir = data_dir::prepare(&wanted)?;
    let config = options.resolve(&dir)?;
    start_log(config.log_format);
    loop {
        // Small machines are the common case: two workers serve the API, the node has a thread of its own.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let left = runtime.block_on(serve(&dir, config.clone(), umask))?;
        drop(runtime);
        if !left {
            return Ok(());
        }
        let aside = data_dir::depart(&dir)?;
        tracing::warn!("left the cluster: what this node was is kept in {}; it begins anew", aside.display());
    }
}

fn start_log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_target(false);
    // A line that can't be written is lost; saying so on the same standard error would panic, on whatever thread.
    let log = log.log_internal_errors(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// True: it left its cluster, and is to begin anew.
async fn serve(dir: &Path, config: Config, umask: Option<u32>) -> Result<bool> {
    let clock = Clock::default();
    // The key outlives the database: where it stands alone, the database was taken away.
    let missing = dir.join("node.key").exists() && !dir.join(DATABASE).exists();
    let opened = Store::open(dir)?;
    let store = opened.store;
    let kept = store.moved_aside();
    let identity = Identity::open(dir)?;
    let boot = data_dir::random::<8>()?;
    let mut node = load(dir, &store, &config, &identity, u64::from_le_bytes(boot), clock)?;
    for aside in kept {
        node.notice(format!(
            "a corrupt database was moved aside and is kept as {}: take it away once you don't need it",
            aside.display()
        ));
    }
    let fresh = missing || opened.moved_aside.is_some();
    if fresh && let Some(roll) = roll::read(dir)? {
        tracing::warn!(
            members = roll.len(),
            "the cluster is known from its roll; what was lost comes from its members"
        );
        node.restore(clock.now(), roll);
    }
    if missing {
        let why = format!("{} was missing and a fresh database was begun: what this node knew alone is lost", DATABASE);
        tracing::error!("{why}");
        node.notice(why);
    }
    let secrets = Arc::new(Secrets::open(dir)?);

    let (listener, note) = listen(dir, config.listen).await?;
    let address = listener.local_addr().context("the API's listener has no address")?;
    if let Some(note) = note {
        tracing::warn!("{note}");
    }
    let url = format!("http://{address}");
    let (_url_sender, url_receiver) = watch::channel(url.clone());
    let (sender, mut attempts) = mpsc::channel(1024);
    let exec = ExecConfig {
        data_dir: dir.to_owned(),
        api_url: url_receiver,
        pause_grace: config.pause_grace,
        allow_root: config.allow_root,
        token: Arc::new({
            let secret = identity.secret;
            move |key: &metaopt_schema::AttemptKey| http::auth::mint_trial_token(&secret, key)
        }),
        supervisor_exe: platform::own_program().context("cannot find this program's own file")?,
        setup_timeout: SETUP_TIMEOUT,
        secrets: secrets.clone(),
    };
    let hide = hide_data(config.hide_data, &exec.supervisor_exe, dir)?;
    let executor = Executor::new(exec, sender).context("cannot prepare the directories of attempts")?;
    let executor = Arc::new(executor.with_enclosure(hide, umask));
    let hub = EventHub::new(&data_dir::hex(&boot[..4]));
    let (shell, thread) = Shell::start(node, store, Some(executor.clone()), clock, hub)?;
    tokio::spawn({
        let shell = shell.clone();
        async move {
            while let Some((key, event)) = attempts.recv().await {
                shell.attempt(key, event);
            }
        }
    });
    let farewell = CancellationToken::new();
    let peers = Peers::start(links(dir, &config, &identity), Arc::new(shell.clone()), farewell.clone()).await?;
    shell.send_by(Arc::new(peers.clone()));
    let fetcher = Fetcher::new(shell.clone(), peers.clone(), &executor, dir, config.min_free);
    let found = executor.adopt().into_iter().map(|launch| launch.key).collect();
    tokio::spawn(roll::keep(dir.to_owned(), shell.clone()));
    tokio::spawn(room::watch(dir.to_owned(), config.min_free, shell.clone()));
    tokio::spawn(watch_slots(config.clone(), dir.to_owned(), shell.clone(), executor.clone()));
    shell.adopted(found);

    let gc = Arc::new(Collector::new(shell.clone(), executor.clone(), dir, config.gc.clone()));
    let app = http::App::new(shell.clone(), executor.clone(), dir.to_owned(), &identity)
        .with_gc(gc.clone())
        .with_peers(peers.clone(), config.mdns)
        .with_fetcher(fetcher.clone())
        .at(address);
    let stopping = app.stopping();
    shell.ends_by(stopping.clone());
    tokio::spawn(gc.keep(stopping.clone()));
    tokio::spawn(fetcher.keep_spreading(stopping.clone()));
    peers.serve(http::peer_router(app.clone()));
    let router = http::router(app);
    write_api_json(dir, &url, &identity)?;
    files::write_private(&dir.join("address"), address.to_string().as_bytes())
        .context("cannot note the API's address")?;
    println!("metaoptd ready url={url} node={}", identity.node);
    let _ = std::io::stdout().flush(); // nobody may be reading
    tokio::spawn({
        let stopping = stopping.clone();
        async move {
            signal().await;
            tracing::info!("stopping");
            stopping.cancel();
        }
    });
    http::listen::serve(listener, router, stopping, http::listen::Limits::default()).await;
    if config.stop_jobs || shell.has_left() {
        shell.stop_all();
        executor.stop_all().await;
    }
    shell.quit();
    let left = shell.has_left();
    tokio::task::spawn_blocking(move || thread.join()).await.ok();
    // The last changes were handed to links by now.
    farewell.cancel();
    peers.stopped().await;
    Ok(left)
}

fn links(dir: &Path, config: &Config, identity: &Identity) -> PeerConfig {
    PeerConfig {
        dir: dir.to_owned(),
        pkcs8: identity.pkcs8.clone(),
        node: identity.node.clone(),
        public_key: identity.public_key.clone(),
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listen: config.peer_listen,
        advertise: config.advertise.clone(),
        peers: config.peers.clone(),
        mdns: config.mdns,
        cluster_key: config.cluster_key.as_ref().map(|key| key.0.clone()),
        dials_only: config.slots == Some(0) && config.gpus == "none",
        limits: Limits::default(),
    }
}

/// Whether jobs are started without sight of the data directory. Tried once: what is refused now is refused for each.
fn hide_data(wanted: HideData, exe: &Path, dir: &Path) -> Result<bool> {
    if wanted == HideData::Never {
        return Ok(false);
    }
    match enclose::check(exe, dir) {
        Ok(()) => Ok(true),
        Err(why) if wanted == HideData::Always => bail!(
            "--hide-data always: {why}; let this user make user namespaces (docs/security.md says how), or use --hide-data auto"
        ),
        Err(why) => {
            tracing::warn!(
                "jobs can read the data directory, secrets included: {why} (docs/security.md says what to do)"
            );
            Ok(false)
        }
    }
}

fn load(dir: &Path, store: &Store, config: &Config, identity: &Identity, boot: u64, clock: Clock) -> Result<Node> {
    let counter = store.meta(META_COUNTER)?.and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    // A database that was lost took the counter along; the files of its trials must not become others'.
    let counter = counter.or_else(|| data_dir::next_counter(dir, &identity.node));
    let hardware = Hardware {
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        addresses: Vec::new(),
        labels: config.labels.clone(),
        slots: Vec::new(),
    };
    let node = NodeConfig {
        id: identity.node.clone(),
        public_key: identity.public_key.clone(),
        hardware,
        boot,
        entropy: data_dir::random()?,
        grace_s: config.grace.as_secs_f64(),
        pause_grace_s: config.pause_grace.as_secs_f64(),
        timing: config.timing(),
        curve_bytes: CURVE_BYTES,
    };
    let reader = store.reader();
    let node = boot::read_all(reader, &node.actor(), |docs| {
        Node::load(node, clock.now(), docs, Arc::new(reader.clone()), counter).with_context(|| unreadable(store.path()))
    })?;
    for problem in node.damaged() {
        tracing::error!(%problem, "an entry of a document could not be read");
    }
    Ok(node)
}

/// What stands above the name of a document that can't be read. Going on without it is no choice: trials that it holds
/// would be proposed anew, under the same keys.
fn unreadable(database: &Path) -> String {
    let path = database.display();
    format!(
        "metaoptd can't start: {path} holds a document that it can't read; nothing there was changed. Put a backup in \
         its place; or move it aside, to {path}.corrupt-by-hand, and the next start begins a fresh one (jobs that still \
         run are then ended, and their files kept in `unknown` beside it)"
    )
}

/// Tells the node of its slots, at once and whenever somebody else takes or leaves a GPU.
async fn watch_slots(config: Config, dir: PathBuf, shell: Shell, executor: Arc<Executor>) {
    let gpus = Arc::new(Nvml::default());
    let (config, dir) = (Arc::new(config), Arc::new(dir));
    let mut last = None;
    loop {
        let (config, dir, gpus, executor) = (config.clone(), dir.clone(), gpus.clone(), executor.clone());
        let look = move || inventory::sample(&config, &*gpus, &executor.supervisor_pids(), &dir);
        let Ok(seen) = tokio::task::spawn_blocking(look).await else { return };
        if last.as_ref() != Some(&seen) {
            shell.slots(seen.clone());
            last = Some(seen);
        }
        tokio::time::sleep(LOOK_AT_GPUS).await;
    }
}

/// Binds the API: where it was told, else where it was before, else the default port, else any free one.
async fn listen(dir: &Path, given: Option<SocketAddr>) -> Result<(TcpListener, Option<String>)> {
    if let Some(address) = given
        && !address.ip().is_loopback()
    {
        bail!(
            "--listen {address}: beyond loopback the API needs TLS, which this version does not serve; use 127.0.0.1 and an ssh tunnel"
        );
    }
    let before: Option<SocketAddr> = std::fs::read_to_string(dir.join("address"))
        .ok()
        .and_then(|t| t.trim().parse().ok())
        .filter(|a: &SocketAddr| a.ip().is_loopback());
    match given {
        Some(address) if address.port() != 0 => {
            let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
            return Ok((listener, None));
        }
        _ => {}
    }
    let any = SocketAddr::new(given.map_or([127, 0, 0, 1].into(), |a| a.ip()), 0);
    if let Some(address) = before.filter(|a| a.ip() == any.ip())
        && let Ok(listener) = TcpListener::bind(address).await
    {
        return Ok((listener, None));
    }
    if given.is_none()
        && let Ok(listener) = TcpListener::bind(("127.0.0.1", DEFAULT_PORT)).await
    {
        return Ok((listener, None));
    }
    let listener = TcpListener::bind(any).await.with_context(|| format!("cannot listen on {any}"))?;
    let note = given.is_none().then(|| format!("port {DEFAULT_PORT} is taken; using a free one"));
    Ok((listener, note))
}

fn write_api_json(dir: &Path, url: &str, identity: &Identity) -> Result<()> {
    let body =
        serde_json::json!({"url": url, "token": identity.token, "node": identity.node, "pid": std::process::id()});
    let path = dir.join("api.json");
    files::write_private(&path, format!("{body:#}\n").as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use metaopt_schema::{DocId, NodeId, StudyId, docs::Vector};

    use super::*;

    #[test]
    fn a_start_on_a_document_that_cannot_be_read_says_which_and_what_to_do_and_changes_nothing() {
        // Automerge refuses the one, and panics on the other: a finding of the fuzz target `documents`.
        let mut panics = include_bytes!("../../integration/fuzz/seeds/documents/bug-decoder-panics")[1..].to_vec();
        panics[4..8].copy_from_slice(&[0xa7, 0x33, 0x10, 0x3b]);
        for (bytes, detail) in [(b"no document".to_vec(), "magic bytes"), (panics, "inner check of Automerge")] {
            let dir = tempfile::tempdir().unwrap();
            let config = Options::default().resolve(dir.path()).unwrap();
            let identity = Identity::open(dir.path()).unwrap();
            let mut store = Store::open(dir.path()).unwrap().store;
            let id = DocId::Metrics { study: StudyId::new("s-1"), node: NodeId::new("aaaabbbbccccdddd"), segment: 0 };
            store.snapshot(&id, &bytes, &Vector::new(), None).unwrap();
            let before = store.load().unwrap();
            let start = |store: &Store| load(dir.path(), store, &config, &identity, 1, Clock::default());

            let error = format!("{:#}", start(&store).err().unwrap());
            let path = store.path().to_owned();
            assert!(error.contains(&id.to_string()) && error.contains(detail), "{error}");
            assert!(error.contains("nothing there was changed") && error.contains("backup"), "{error}");
            assert_eq!(store.load().unwrap(), before);
            drop(store);

            // What it says is what helps, and the node says later what lies there.
            let (_, to) = error.split_once("move it aside, to ").unwrap();
            let (to, _) = to.split_once(',').unwrap();
            std::fs::rename(&path, to).unwrap();
            let store = Store::open(dir.path()).unwrap().store;
            start(&store).unwrap();
            assert_eq!(store.moved_aside(), [Path::new(to)]);
        }
    }
}
