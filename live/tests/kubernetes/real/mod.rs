//! A real kube-apiserver with a real etcd, where GODWIT_KUBERNETES names a folder that holds both
//! (`make test-kubernetes` builds them). Evictions, budgets, rights, watches and validation are
//! Kubernetes' own. Nodes and pods are objects alone: `stand_in` plays scheduler, kubelets and
//! controllers.

mod client;
mod stand_in;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use client::Client;
pub use stand_in::StandIn;

/// Whose token the program has: that of the account that is deployed.
const GODWIT: &str = "system:serviceaccount:godwit:godwit-live";

/// The longest that a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(90);

/// Both servers; ended with it.
pub struct Server {
    programs: PathBuf,
    folder: tempfile::TempDir,
    etcd: Child,
    etcd_port: u16,
    port: u16,
    api: Option<Child>,
}

impl Server {
    /// Starts both, with what is in `deploy/kubernetes`; `None` where there are no programs.
    pub fn start() -> Option<Self> {
        let Some(programs) = std::env::var_os("GODWIT_KUBERNETES").map(PathBuf::from) else {
            println!("skipped: no real Kubernetes here; `make test-kubernetes` builds one");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let [etcd_port, peer_port, port] = free_ports();
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let etcd = Command::new(programs.join("etcd"))
            .arg("--data-dir")
            .arg(folder.path().join("etcd"))
            .args([
                "--listen-client-urls",
                &at(etcd_port),
                "--advertise-client-urls",
                &at(etcd_port),
            ])
            .args(["--listen-peer-urls", &at(peer_port)])
            .args(["--initial-advertise-peer-urls", &at(peer_port)])
            .args(["--initial-cluster", &format!("default={}", at(peer_port))])
            // A test's data need not outlive the machine.
            .arg("--unsafe-no-fsync")
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("etcd.log")).unwrap())
            .spawn()
            .unwrap();
        let tokens = format!("admin,admin,admin,\"system:masters\"\ngodwit,{GODWIT},godwit\n");
        fs::write(folder.path().join("tokens.csv"), tokens).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(folder.path().join("accounts.key"), key.serialize_pem()).unwrap();
        fs::write(folder.path().join("accounts.pub"), key.public_key_pem()).unwrap();
        for who in ["admin", "godwit"] {
            fs::write(folder.path().join(who), kubeconfig(port, who)).unwrap();
        }
        let mut server = Self { programs, folder, etcd, etcd_port, port, api: None };
        server.begin();
        server.deploy();
        Some(server)
    }

    /// A client with all rights.
    pub fn admin(&self) -> Client {
        Client::new(&self.folder.path().join("admin"))
    }

    /// The kubeconfig of whoever has the rights that are deployed, and no others.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("godwit")
    }

    /// The API server is killed, and another begins in its place.
    pub fn kill_and_begin(&mut self) {
        self.kill();
        self.begin();
    }

    fn begin(&mut self) {
        let folder = self.folder.path();
        let file = |name: &str| folder.join(name).display().to_string();
        let log_file = folder.join("api.log");
        let log = fs::File::options().create(true).append(true).open(&log_file);
        let api = Command::new(self.programs.join("kube-apiserver"))
            .args(["--etcd-servers", &format!("http://127.0.0.1:{}", self.etcd_port)])
            .args(["--bind-address", "127.0.0.1", "--secure-port", &self.port.to_string()])
            .args(["--cert-dir", &file("certificates"), "--token-auth-file", &file("tokens.csv")])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .args(["--service-account-key-file", &file("accounts.pub")])
            .args(["--service-account-signing-key-file", &file("accounts.key")])
            .args(["--service-cluster-ip-range", "10.0.0.0/24", "--authorization-mode", "RBAC"])
            // Without controllers nobody makes accounts, and nobody takes such taints away.
            .args(["--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition"])
            // Watches from before are told 410 Gone soon.
            .args(["--etcd-compaction-interval", "5s"])
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        self.api = Some(api);
        let (until, admin) = (Instant::now() + PATIENCE, self.admin());
        while admin.ask(http::Method::GET, "/readyz", &Value::Null).0 != 200 {
            let log = || fs::read_to_string(&log_file).unwrap_or_default();
            let over = self.api.as_mut().is_some_and(|api| api.try_wait().unwrap().is_some());
            assert!(!over && Instant::now() < until, "the API server is not ready:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn kill(&mut self) {
        if let Some(mut api) = self.api.take() {
            // It may have ended by itself.
            let _ = api.kill();
            let _ = api.wait();
        }
    }

    /// What `kubectl apply -k deploy/kubernetes` would do. Fields that Kubernetes does not know are
    /// refused.
    fn deploy(&self) {
        let admin = self.admin();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes");
        // The namespace and the account come first.
        for file in ["namespace.yaml", "rbac.yaml", "config.yaml", "deployment.yaml"] {
            let text = fs::read_to_string(folder.join(file)).unwrap();
            for document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
                let namespace = document["metadata"]["namespace"].as_str();
                let inside = namespace.map(|it| format!("/namespaces/{it}")).unwrap_or_default();
                let rbac = "/apis/rbac.authorization.k8s.io/v1";
                let path = match document["kind"].as_str().unwrap() {
                    "Namespace" => "/api/v1/namespaces".to_owned(),
                    "ServiceAccount" => format!("/api/v1{inside}/serviceaccounts"),
                    "ClusterRole" => format!("{rbac}/clusterroles"),
                    "ClusterRoleBinding" => format!("{rbac}/clusterrolebindings"),
                    "Role" => format!("{rbac}{inside}/roles"),
                    "RoleBinding" => format!("{rbac}{inside}/rolebindings"),
                    "ConfigMap" => format!("/api/v1{inside}/configmaps"),
                    "PersistentVolumeClaim" => format!("/api/v1{inside}/persistentvolumeclaims"),
                    "Deployment" => format!("/apis/apps/v1{inside}/deployments"),
                    other => panic!("{file}: {other}"),
                };
                admin.create(&format!("{path}?fieldValidation=Strict"), &document);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

/// Ports that nobody listened on a moment ago.
fn free_ports() -> [u16; 3] {
    let all = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    all.map(|listener| listener.local_addr().unwrap().port())
}

fn kubeconfig(port: u16, token: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true,
        } }],
        "users": [{ "name": "test", "user": { "token": token } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    })
    .to_string()
}
