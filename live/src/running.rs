//! Requests to the running one, through the page's routes.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::config::Web;

/// Longest time of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a document.
///
/// # Errors
/// When nobody answers, or says no.
pub fn get(web: &Web, path: &str) -> anyhow::Result<Value> {
    let (client, url, shown) = begin(web, path)?;
    let mut request = client.get(&url);
    if let Some(shown) = shown {
        request = request.header("authorization", shown);
    }
    read(request.call().with_context(|| nobody(web))?)
}

/// Asks for something.
///
/// # Errors
/// When nobody answers, or says no.
pub fn post(web: &Web, path: &str) -> anyhow::Result<Value> {
    let (client, url, shown) = begin(web, path)?;
    let mut request = client.post(&url);
    if let Some(shown) = shown {
        request = request.header("authorization", shown);
    }
    read(request.send_empty().with_context(|| nobody(web))?)
}

fn begin(web: &Web, path: &str) -> anyhow::Result<(Agent, String, Option<String>)> {
    if web.listen.is_empty() {
        bail!("web.listen: expected an address to reach the running one by, got none");
    }
    let settings = Agent::config_builder().timeout_global(Some(PATIENCE));
    let client: Agent = settings.http_status_as_error(false).build().into();
    let token = web.token_file.as_deref().map(|path| {
        let text = fs::read_to_string(path);
        text.with_context(|| format!("web.token_file {}: cannot be read", path.display()))
    });
    let shown = token.transpose()?.map(|token| format!("Bearer {}", token.trim()));
    Ok((client, format!("http://{}{path}", web.listen), shown))
}

fn nobody(web: &Web) -> String {
    format!("expected a running godwit-live at {}, got no answer", web.listen)
}

fn read(mut answer: Response<Body>) -> anyhow::Result<Value> {
    let body: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    if !answer.status().is_success() {
        let message = body["error"]["message"].as_str().unwrap_or("no reason was given");
        bail!("refused: {message}");
    }
    Ok(body)
}
