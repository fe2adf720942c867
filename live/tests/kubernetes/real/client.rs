//! A plain client of the API server, with all rights.

use std::path::Path;
use std::sync::Arc;

use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The client.
#[derive(Clone)]
pub struct Client {
    client: kube::Client,
    runtime: Arc<Runtime>,
}

impl Client {
    pub fn new(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let file = Kubeconfig::read_from(kubeconfig).unwrap();
            let options = KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
            kube::Client::try_from(config).unwrap()
        });
        Self { client, runtime: Arc::new(runtime) }
    }

    /// Asks; the answer's status, and its text as JSON where it is such. Status 0 where there is none.
    pub fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let kind = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(Body::from(bytes)).unwrap();
        self.runtime.block_on(async {
            let Ok(answer) = self.client.send(request).await else { return (0, Value::Null) };
            let status = answer.status().as_u16();
            let Ok(body) = answer.into_body().collect().await else { return (0, Value::Null) };
            (status, serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null))
        })
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        let (status, value) = self.ask(Method::GET, path, &Value::Null);
        (status == 200).then_some(value)
    }

    /// The objects of a list; `None` while the server does not answer.
    pub fn list(&self, path: &str) -> Option<Vec<Value>> {
        self.get(path)?["items"].as_array().cloned()
    }

    /// Creates an object that is not there yet.
    pub fn create(&self, path: &str, object: &Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, object);
        assert_eq!(status, 201, "{path}: {object}: {answer}");
        answer
    }

    /// Deletes an object at once, if it is there.
    pub fn delete(&self, path: &str) {
        let body = json!({ "gracePeriodSeconds": 0 });
        let (status, answer) = self.ask(Method::DELETE, path, &body);
        assert!(matches!(status, 0 | 200 | 404), "{path}: {answer}");
    }
}
