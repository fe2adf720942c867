//! Follows the cluster: one task per kind of object lists them, then hears of every change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{AsyncBufReadExt, TryStreamExt};
use http_body_util::BodyExt;

use super::api::{Answer, Client};
use super::objects::{Heard, Kind, Kinds, Objects};
use super::rights::{BUDGETS, MACHINES, NODES, POD_USE, PODS, Resource};
use super::seen::Ordinals;
use super::settings::{Demand, Settings};
use crate::cluster::CallError;

/// Objects of one page of a list.
const PAGE: usize = 500;
/// After this the server ends a watch, and another is begun.
const WATCH: Duration = Duration::from_secs(290);
/// The server says once a minute that nothing has changed; a watch that is silent for longer than this
/// is dead.
const SILENCE: Duration = Duration::from_secs(150);
/// Between a list and its watch, and between two watches, nothing is heard for a moment.
const PAUSE: Duration = Duration::from_secs(1);
/// Waits after a failure: the first, and the longest.
const WAITS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(30)];
/// How often what is not watched is asked for.
const ASKED_EVERY: Duration = Duration::from_secs(30);

/// What is known of the cluster.
pub(super) struct World {
    pub objects: Objects,
    pub ordinals: Ordinals,
    states: Vec<(Kind, State)>,
}

/// How well a kind of object is known.
#[derive(Default)]
struct State {
    /// All of them have been listed.
    listed: bool,
    /// When it was known last that all is heard.
    heard: Option<Instant>,
    /// A watch is open.
    open: bool,
    failure: Option<CallError>,
}

/// The world, shared by those who look at it and those who follow it.
pub(super) type Shared = Arc<Mutex<World>>;

/// What is known now. A thread that panicked left it whole: each change is one event.
pub(super) fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Nothing is known yet. The kinds that have to be followed for `settings` are.
    pub(super) fn new(kinds: Kinds, settings: &Settings) -> Self {
        let used = (settings.demand != Demand::Requests).then_some(Kind::PodUse);
        let followed = [Kind::Node, Kind::Pod, Kind::Budget, Kind::Machine].into_iter().chain(used);
        Self {
            objects: Objects::new(kinds),
            ordinals: Ordinals::default(),
            states: followed.map(|kind| (kind, State::default())).collect(),
        }
    }

    /// For how long changes may have gone unheard.
    ///
    /// # Errors
    /// While not everything has been listed: why, where that is known.
    pub(super) fn behind(&self) -> Result<Duration, CallError> {
        let mut most = Duration::ZERO;
        for (kind, state) in &self.states {
            if !state.listed {
                let reason = format!("{} are still being listed", resource(*kind).name);
                let waiting = CallError::Later { reason, after: None };
                return Err(state.failure.clone().unwrap_or(waiting));
            }
            let since = state.heard.map_or(Duration::MAX, |heard| heard.elapsed());
            if since >= (if state.open { SILENCE } else { PAUSE }) {
                most = most.max(since);
            }
        }
        Ok(most)
    }

    fn state(&mut self, kind: Kind) -> &mut State {
        let found = self.states.iter().position(|(one, _)| *one == kind);
        // Only kinds that have a state are followed.
        &mut self.states[found.expect("a kind that is followed")].1
    }

    fn heard(&mut self, kind: Kind, open: bool) {
        let state = self.state(kind);
        (state.heard, state.open, state.failure) = (Some(Instant::now()), open, None);
    }

    fn failed(&mut self, kind: Kind, failure: CallError) {
        let state = self.state(kind);
        tracing::warn!("{}: {failure}", resource(kind).name);
        (state.open, state.failure) = (false, Some(failure));
    }
}

fn resource(kind: Kind) -> Resource {
    match kind {
        Kind::Node => NODES,
        Kind::Pod => PODS,
        Kind::Budget => BUDGETS,
        Kind::Machine => MACHINES,
        Kind::PodUse => POD_USE,
    }
}

/// The tasks that follow a world; they end with the runtime that they are put on.
pub(super) fn tasks(
    client: &Client,
    world: &Shared,
) -> Vec<impl Future<Output = ()> + Send + 'static> {
    let kinds: Vec<Kind> = locked(world).states.iter().map(|(kind, _)| *kind).collect();
    kinds.into_iter().map(|kind| follow(client.clone(), Arc::clone(world), kind)).collect()
}

async fn follow(client: Client, world: Shared, kind: Kind) {
    let mut wait = WAITS[0];
    loop {
        match list(&client, &world, kind).await {
            Ok(Some(version)) => {
                wait = WAITS[0];
                watch_from(&client, &world, kind, version).await;
            }
            Ok(None) => tokio::time::sleep(ASKED_EVERY).await,
            Err(failure) => {
                locked(&world).failed(kind, failure);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(WAITS[1]);
            }
        }
    }
}

/// Lists all objects of a kind; the version from which to watch, if they can be watched.
async fn list(client: &Client, world: &Shared, kind: Kind) -> Result<Option<String>, CallError> {
    let resource = resource(kind);
    let path = resource.path(None, None);
    let doing = format!("list {}", resource.name);
    let kinds = locked(world).objects.kinds.clone();
    let mut fresh = Objects::new(kinds);
    let mut next = String::new();
    loop {
        let token: String = form(&next);
        let query = match next.is_empty() {
            true => format!("limit={PAGE}"),
            false => format!("limit={PAGE}&continue={token}"),
        };
        let answer = client.call("list", resource, &path, &query, None).await;
        let text = match answer.map_err(|silence| silence.unread(&doing))?.ok() {
            Ok(text) => text,
            Err(answer) if is_absent(kind, &answer) => {
                let mut world = locked(world);
                world.state(kind).listed = true;
                world.heard(kind, true);
                return Ok(None);
            }
            Err(answer) => return Err(answer.unread(&doing)),
        };
        let bad = |error: godwit_envs::input::InputError| CallError::Refused(error.to_string());
        let meta = fresh.add_list(&text, Some(kind), resource.name).map_err(bad)?;
        next = meta.next;
        if next.is_empty() {
            let mut world = locked(world);
            world.objects.replace(kind, fresh);
            world.state(kind).listed = true;
            world.heard(kind, kind == Kind::PodUse);
            return Ok((kind != Kind::PodUse).then_some(meta.resource_version));
        }
    }
}

/// Text that may stand in a query.
fn form(text: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| match kept(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// Whether the cluster does not know such objects at all: not every one has KubeVirt or metrics.
fn is_absent(kind: Kind, answer: &Answer) -> bool {
    matches!(kind, Kind::Machine | Kind::PodUse) && matches!(answer.status().as_u16(), 404 | 503)
}

/// Watches a kind until all objects have to be listed anew.
async fn watch_from(client: &Client, world: &Shared, kind: Kind, mut version: String) {
    let mut wait = WAITS[0];
    loop {
        match watch(client, world, kind, &mut version).await {
            Ok(Ended::Dropped) => {}
            Ok(Ended::TooOld) => return,
            Err(failure) => {
                locked(world).failed(kind, failure);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(WAITS[1]);
                continue;
            }
        }
        wait = WAITS[0];
        // A server that drops every watch at once must not be asked without pause.
        tokio::time::sleep(wait).await;
    }
}

/// How a watch ended.
enum Ended {
    /// It can go on from where it was.
    Dropped,
    /// The server does not remember that far back, or nothing that it says can be relied on.
    TooOld,
}

async fn watch(
    client: &Client,
    world: &Shared,
    kind: Kind,
    version: &mut String,
) -> Result<Ended, CallError> {
    let resource = resource(kind);
    let doing = format!("watch {}", resource.name);
    let uri = format!(
        "{}?watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
        resource.path(None, None),
        form(version),
        WATCH.as_secs(),
    );
    let response = client.follow(resource, &uri).await.map_err(|silence| silence.unread(&doing))?;
    match response.status().as_u16() {
        200 => locked(world).heard(kind, true),
        410 => return Ok(Ended::TooOld),
        code => {
            let reason = format!("{doing}: status {code}");
            return Err(match code {
                401 | 403 => CallError::Refused(reason),
                _ => CallError::Later { reason, after: None },
            });
        }
    }
    let body = response.into_body().into_data_stream().map_err(std::io::Error::other);
    let mut lines = futures_util::io::BufReader::new(body.into_async_read()).lines();
    loop {
        let line = match tokio::time::timeout(SILENCE, lines.try_next()).await {
            Ok(Ok(Some(line))) => line,
            // The end, an error on the way, or silence: what was heard until now holds.
            _ => {
                locked(world).state(kind).open = false;
                return Ok(Ended::Dropped);
            }
        };
        let mut world = locked(world);
        match world.objects.hear(&line, resource.name) {
            Ok(Heard::UpTo(heard)) => {
                *version = heard;
                world.heard(kind, true);
            }
            Ok(Heard::Ended) => {
                world.state(kind).open = false;
                return Ok(Ended::TooOld);
            }
            // A line that was cut off, most likely. The list brings what it said.
            Err(error) => {
                world.failed(kind, CallError::Refused(error.to_string()));
                return Ok(Ended::TooOld);
            }
        }
    }
}
