//! Calls to the API server: each has a time-out, and none is made twice.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::open_error::OpenError;
use super::rights::{RIGHTS, Resource};
use super::settings::Settings;
use crate::cluster::CallError;

/// Largest answer that is read, bytes: a page of 500 pods has a few megabytes.
const MOST_BYTES: usize = 256 << 20;

/// The API server.
#[derive(Clone)]
pub(super) struct Api {
    client: kube::Client,
    runtime: Arc<Runtime>,
    /// Longest that a call may take; the server is told, too.
    pub timeout: Duration,
}

/// What the server answered.
pub(super) struct Answer {
    status: StatusCode,
    text: String,
    after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Silence {
    what: String,
    /// The call has not left this machine.
    unsent: bool,
}

impl Api {
    /// Does not speak to the server yet.
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("kubernetes")
            .enable_all()
            .build()
            .map_err(OpenError::Runtime)?;
        let client = runtime.block_on(async {
            let mut config = match &settings.kubeconfig {
                Some(path) => from_file(path, settings.context.clone()).await?,
                None => kube::Config::incluster()
                    .map_err(|error| OpenError::NotInCluster { got: error.to_string() })?,
            };
            // A call that is made twice behind our back may be carried out twice.
            config.default_retry = false;
            kube::Client::try_from(config).map_err(|error| OpenError::Client(told(&error)))
        })?;
        let timeout = Duration::from_secs_f64(settings.call_timeout_s);
        Ok(Self { client, runtime: Arc::new(runtime), timeout })
    }

    /// Lets something go on in the background, for as long as anybody holds this.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// The same for a task of the background, which must not keep it alive.
    pub(super) fn client(&self) -> Client {
        Client { client: self.client.clone(), timeout: self.timeout }
    }

    /// Makes a call and waits for its answer.
    pub(super) fn call(
        &self,
        verb: &str,
        resource: Resource,
        namespace: Option<&str>,
        object: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, Silence> {
        let path = resource.path(namespace, object);
        self.runtime.block_on(self.client().call(verb, resource, &path, "", body))
    }

    /// An object; `None` where it is not there. `doing` is what errors say was tried.
    pub(super) fn get(
        &self,
        resource: Resource,
        namespace: Option<&str>,
        name: &str,
        doing: &str,
    ) -> Result<Option<Value>, CallError> {
        let answer = self.call("get", resource, namespace, Some(name), None);
        let text = match answer.map_err(|silence| silence.unread(doing))?.ok() {
            Ok(text) => text,
            Err(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(None),
            Err(answer) => return Err(answer.unread(doing)),
        };
        let later = |error: serde_json::Error| CallError::Later {
            reason: format!("{doing}: {error}"),
            after: None,
        };
        serde_json::from_str(&text).map(Some).map_err(later)
    }

    /// Deletes an object.
    pub(super) fn delete(
        &self,
        resource: Resource,
        namespace: Option<&str>,
        name: &str,
        doing: &str,
    ) -> Result<(), CallError> {
        let answer = self.call("delete", resource, namespace, Some(name), None);
        match answer.map_err(|silence| silence.failure(doing))?.ok() {
            Ok(_) => Ok(()),
            Err(answer) => Err(answer.failure(doing)),
        }
    }
}

async fn from_file(path: &Path, context: Option<String>) -> Result<kube::Config, OpenError> {
    let bad = |error: kube::config::KubeconfigError| OpenError::Kubeconfig {
        path: path.to_owned(),
        got: told(&error),
    };
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let file = Kubeconfig::read_from(path).map_err(bad)?;
    kube::Config::from_custom_kubeconfig(file, &options).await.map_err(bad)
}

/// The API server, for tasks in the background.
#[derive(Clone)]
pub(super) struct Client {
    client: kube::Client,
    pub timeout: Duration,
}

impl Client {
    /// Makes a call; `query` goes behind the path.
    pub(super) async fn call(
        &self,
        verb: &str,
        resource: Resource,
        path: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Silence> {
        // The server gives up when we do: what it has not done by then, it does not do later.
        let limit = format!("timeout={}s", self.timeout.as_secs_f64().ceil());
        let join = if query.is_empty() { "" } else { "&" };
        let uri = format!("{path}?{query}{join}{limit}");
        let whole = async {
            let response = self.send(verb, resource, &uri, body).await?;
            let status = response.status();
            let after = retry_after(&response);
            let body = http_body_util::Limited::new(response.into_body(), MOST_BYTES).collect();
            let bytes = body.await.map_err(|error| lost(error.to_string()))?.to_bytes();
            let text = String::from_utf8(bytes.into()).map_err(|error| lost(error.to_string()))?;
            Ok(Answer { status, text, after })
        };
        match tokio::time::timeout(self.timeout, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(lost(format!("no answer within {} s", self.timeout.as_secs_f64()))),
        }
    }

    /// Begins to read an answer that goes on and on.
    pub(super) async fn follow(
        &self,
        resource: Resource,
        uri: &str,
    ) -> Result<Response<Body>, Silence> {
        match tokio::time::timeout(self.timeout, self.send("watch", resource, uri, None)).await {
            Ok(response) => response,
            Err(_) => Err(lost(format!("no answer within {} s", self.timeout.as_secs_f64()))),
        }
    }

    async fn send(
        &self,
        verb: &str,
        resource: Resource,
        uri: &str,
        body: Option<&Value>,
    ) -> Result<Response<Body>, Silence> {
        let known = RIGHTS.iter().any(|(one, verbs)| *one == resource && verbs.contains(&verb));
        debug_assert!(known, "{verb} {} is not in RIGHTS", resource.name);
        let method = match verb {
            "create" => Method::POST,
            "delete" => Method::DELETE,
            _ => Method::GET,
        };
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::from(bytes))
            .map_err(|error| Silence { what: error.to_string(), unsent: true })?;
        self.client
            .send(request)
            .await
            .map_err(|error| Silence { unsent: is_refused_connection(&error), what: told(&error) })
    }
}

fn lost(what: String) -> Silence {
    Silence { what, unsent: false }
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let header = response.headers().get(http::header::RETRY_AFTER)?;
    header.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn is_refused_connection(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Answer {
    /// The text of a call that succeeded; what the server said otherwise.
    pub(super) fn ok(self) -> Result<String, Self> {
        if self.status.is_success() { Ok(self.text) } else { Err(self) }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What the server said of itself.
    pub(super) fn message(&self) -> String {
        let said: Option<Value> = serde_json::from_str(&self.text).ok();
        let message = said.as_ref().and_then(|said| said["message"].as_str());
        let code = self.status.as_u16();
        match message {
            Some(message) => format!("{message} (status {code})"),
            None => format!("status {code}"),
        }
    }

    /// What a failed call comes to, where it would have changed something.
    pub(super) fn failure(self, doing: &str) -> CallError {
        let reason = format!("{doing}: {}", self.message());
        match self.status.as_u16() {
            429 => CallError::Later { reason, after: self.after },
            code if (400..500).contains(&code) && code != 408 => CallError::Refused(reason),
            _ => CallError::Unknown(reason),
        }
    }

    /// What a failed call comes to, where it only asked.
    pub(super) fn unread(self, doing: &str) -> CallError {
        let reason = format!("{doing}: {}", self.message());
        match self.status.as_u16() {
            401 | 403 => CallError::Refused(reason),
            _ => CallError::Later { reason, after: self.after },
        }
    }
}

impl Silence {
    /// What it comes to, where the call would have changed something.
    pub(super) fn failure(self, doing: &str) -> CallError {
        let reason = format!("{doing}: {}", self.what);
        match self.unsent {
            true => CallError::Later { reason, after: None },
            false => CallError::Unknown(reason),
        }
    }

    /// What it comes to, where the call only asked.
    pub(super) fn unread(self, doing: &str) -> CallError {
        CallError::Later { reason: format!("{doing}: {}", self.what), after: None }
    }
}
