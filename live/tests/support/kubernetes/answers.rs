//! Requests and their answers.

use std::sync::{Arc, Mutex};

use futures_util::stream;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Method, Request, Response};
use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::Broken;
use super::controllers::budgets;
use super::faults::Fault;
use super::store::{Event, Store};

type Frames =
    std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, Broken>> + Send>>;
type Body = Either<Full<Bytes>, StreamBody<Frames>>;

/// What a path names.
struct Target {
    resource: String,
    namespace: String,
    name: String,
    below: String,
}

impl Target {
    fn parse(path: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let rest = if parts[0] == "api" { &parts[2..] } else { &parts[3..] };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            rest => ("", rest),
        };
        let part = |n: usize| rest.get(n).copied().unwrap_or_default().to_owned();
        let group = if path.contains("metrics.k8s.io") { "metrics/" } else { "" };
        Self {
            resource: format!("{group}{}", part(0)),
            namespace: namespace.to_owned(),
            name: part(1),
            below: part(2),
        }
    }
}

pub(super) async fn answer(
    store: Arc<Mutex<Store>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Broken> {
    let (parts, body) = request.into_parts();
    let body: Value = match body.collect().await?.to_bytes() {
        bytes if bytes.is_empty() => Value::Null,
        bytes => serde_json::from_slice(&bytes)?,
    };
    let target = Target::parse(parts.uri.path());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let watches = query.contains("watch=true");
    let fault = {
        let store = &mut *store.lock().unwrap();
        let verb = match (&parts.method, watches, target.name.is_empty()) {
            (&Method::POST, ..) => "create",
            (&Method::DELETE, ..) => "delete",
            (_, true, _) => "watch",
            (_, _, true) => "list",
            _ => "get",
        };
        let below = if target.below.is_empty() { "" } else { "/" };
        let resource = format!("{}{below}{}", target.resource, target.below);
        store.asked.insert((verb.to_owned(), resource));
        store.faults.draw(&mut store.rng)
    };
    match fault {
        Fault::Refused => return Ok(status(500, "it went wrong")),
        Fault::LostBefore => return Err("lost before".into()),
        Fault::SilentBefore => std::future::pending().await,
        Fault::None | Fault::LostAfter | Fault::SilentAfter => {}
    }
    let response = match watches {
        true => watch(&store, &target.resource, &query),
        false => {
            let store = &mut store.lock().unwrap();
            match parts.method {
                Method::POST if target.below == "eviction" => evict(store, &target, &body),
                Method::POST => create(store, &target, body),
                Method::DELETE => delete(store, &target),
                _ if target.name.is_empty() => list(store, &target, &query),
                _ => match store.get(&target.resource, &target.namespace, &target.name) {
                    Some(object) => json_answer(200, object),
                    None => status(404, "not found"),
                },
            }
        }
    };
    match fault {
        Fault::LostAfter => Err("lost after".into()),
        Fault::SilentAfter => std::future::pending().await,
        _ => Ok(response),
    }
}

fn json_answer(code: u16, value: &Value) -> Response<Body> {
    let body = Either::Left(Full::new(Bytes::from(value.to_string())));
    Response::builder().status(code).body(body).unwrap()
}

fn status(code: u16, message: &str) -> Response<Body> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code,
    });
    json_answer(code, &body)
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn list(store: &mut Store, target: &Target, query: &str) -> Response<Body> {
    if store.absent.contains(&target.resource.as_str()) {
        return status(404, "the server could not find the requested resource");
    }
    let from: usize = parameter(query, "continue").and_then(|at| at.parse().ok()).unwrap_or(0);
    let limit = parameter(query, "limit").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let here = |object: &&Value| {
        target.namespace.is_empty() || object["metadata"]["namespace"] == target.namespace
    };
    let all: Vec<&Value> = store.all(&target.resource).filter(here).collect();
    let page: Vec<&&Value> = all.iter().skip(from).take(limit).collect();
    let end = from + page.len();
    let next = if end < all.len() { end.to_string() } else { String::new() };
    let metadata = json!({ "resourceVersion": store.version.to_string(), "continue": next });
    json_answer(200, &json!({ "kind": "List", "metadata": metadata, "items": page }))
}

fn create(store: &mut Store, target: &Target, mut body: Value) -> Response<Body> {
    let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if store.get(&target.resource, &target.namespace, &name).is_some() {
        return status(409, "already exists");
    }
    if !target.namespace.is_empty() {
        body["metadata"]["namespace"] = json!(target.namespace);
    }
    let made = store.put(&target.resource, body);
    json_answer(201, &made)
}

fn delete(store: &mut Store, target: &Target) -> Response<Body> {
    match store.remove(&target.resource, &target.namespace, &target.name) {
        Some(object) => json_answer(200, &object),
        None => status(404, "not found"),
    }
}

fn evict(store: &mut Store, target: &Target, body: &Value) -> Response<Body> {
    let Some(pod) = store.get("pods", &target.namespace, &target.name).cloned() else {
        return status(404, "not found");
    };
    let uid = &pod["metadata"]["uid"];
    let asked = &body["deleteOptions"]["preconditions"]["uid"];
    if asked != uid {
        return status(409, "Precondition failed: UID in precondition does not match");
    }
    if budgets(store, &pod).contains(&0) {
        let mut denied = status(429, "Cannot evict pod as it would violate the pod's budget");
        denied.headers_mut().insert("retry-after", "1".parse().unwrap());
        return denied;
    }
    store.evicted.push(uid.as_str().unwrap().to_owned());
    store.change("pods", &target.namespace, &target.name, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    json_answer(201, &json!({ "kind": "Status", "status": "Success" }))
}

fn watch(store: &Arc<Mutex<Store>>, resource: &str, query: &str) -> Response<Body> {
    let locked = &mut *store.lock().unwrap();
    let from: u64 = parameter(query, "resourceVersion").and_then(|n| n.parse().ok()).unwrap_or(0);
    let gone = locked.faults.gone;
    if from < locked.forgotten || locked.rng.random_bool(gone) {
        let line = json!({ "type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "code": 410, "message": "too old resource version",
        } });
        let frame = Frame::data(Bytes::from(format!("{line}\n")));
        let frames: Frames = Box::pin(stream::iter([Ok::<_, Broken>(frame)]));
        return Response::new(Either::Right(StreamBody::new(frames)));
    }
    let ours =
        move |event: &Event, resource: &str| event.version > from && event.resource == resource;
    let past: Vec<Event> =
        locked.events.iter().filter(|event| ours(event, resource)).cloned().collect();
    let news = locked.news.subscribe();
    let state = (past.into_iter(), news, Arc::clone(store), resource.to_owned());
    let frames = stream::unfold(state, move |(mut past, mut news, store, resource)| async move {
        let event = match past.next() {
            Some(event) => event,
            None => loop {
                match news.recv().await {
                    Ok(event) if ours(&event, &resource) => break event,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                }
            },
        };
        {
            let store = &mut *store.lock().unwrap();
            let dropped = store.faults.dropped;
            if store.rng.random_bool(dropped) {
                return None;
            }
        }
        let frame = Frame::data(Bytes::from(format!("{}\n", event.line)));
        Some((Ok::<_, Broken>(frame), (past, news, store, resource)))
    });
    let frames: Frames = Box::pin(frames);
    Response::new(Either::Right(StreamBody::new(frames)))
}
