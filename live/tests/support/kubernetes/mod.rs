//! This is no real API server: a stand-in for one, for tests. It holds a few kinds of objects in
//! memory, answers list, watch, get, create, delete and evict as Kubernetes documents them, and makes
//! mistakes where a test asks for them. Nothing is validated; there is no scheduler and no kubelet
//! but the few lines in `controllers`.

mod answers;
mod controllers;
mod faults;
mod store;

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::json;

pub use controllers::{is_healthy, next_status};
pub use faults::Faults;
pub use store::Store;

/// A running server.
pub struct Server {
    store: Arc<Mutex<Store>>,
    runtime: tokio::runtime::Runtime,
    kubeconfig: tempfile::NamedTempFile,
}

impl Server {
    /// Starts one that holds nothing.
    pub fn start(seed: u64, faults: Faults) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let store = Arc::new(Mutex::new(Store::new(rng, faults)));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(accept(listener, Arc::clone(&store)));
        let mut kubeconfig = tempfile::NamedTempFile::new().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        kubeconfig.write_all(config.to_string().as_bytes()).unwrap();
        Self { store, runtime, kubeconfig }
    }

    /// A kubeconfig file that leads here.
    pub fn kubeconfig(&self) -> std::path::PathBuf {
        self.kubeconfig.path().to_owned()
    }

    /// What it holds, to look at and to change.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    /// Ends every connection, and takes new ones.
    pub fn stop(self) {
        self.runtime.shutdown_background();
    }
}

async fn accept(listener: tokio::net::TcpListener, store: Arc<Mutex<Store>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let service = service_fn(|request| answers::answer(Arc::clone(&store), request));
            let connection = hyper::server::conn::http1::Builder::new();
            // A fault ends a connection by an error: that is what it is for.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// What a fault does to a request.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;
