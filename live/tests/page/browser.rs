//! A headless Chromium, spoken to through its DevTools protocol over two pipes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page; ended with it.
pub struct Browser {
    process: Child,
    asks: File,
    answers: BufReader<File>,
    /// The page.
    session: String,
    asked: u64,
    /// Events so far.
    pub events: Vec<Value>,
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Starts one; `None`, with a line that says so, where Chromium is missing.
    pub fn start() -> Option<Self> {
        if Command::new("chromium").arg("--version").output().is_err() {
            println!("skipped: chromium is not installed (Debian: apt-get install chromium)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        };
        let (asks, answers) = (pipe("asks"), pipe("answers"));
        // It reads from its file 3 and writes to its file 4.
        let script = "exec 3<\"$1\" 4>\"$2\"; shift 2; exec chromium \"$@\"";
        let process = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([&asks, &answers])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each waits for the other end.
        let asks = File::options().write(true).open(asks).unwrap();
        let answers = BufReader::new(File::open(answers).unwrap());
        let mut browser = Self {
            process,
            asks,
            answers,
            session: String::new(),
            asked: 0,
            events: Vec::new(),
            _folder: folder,
        };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Gives a command, and waits for its answer.
    ///
    /// # Panics
    /// When it is refused.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut command = json!({ "id": self.asked, "method": method, "params": params });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.asks.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.answers.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser has ended");
            let said: Value = serde_json::from_slice(&bytes).unwrap();
            if said["id"] == self.asked {
                assert_eq!(said["error"], Value::Null, "{method}: {said}");
                return said["result"].clone();
            }
            self.events.push(said);
        }
    }

    /// Opens a page on a screen of this width and height, in dark colours or light ones.
    pub fn open(&mut self, url: &str, [width, height]: [u32; 2], dark: bool) {
        let screen = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.ask("Emulation.setDeviceMetricsOverride", screen);
        let value = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.ask("Emulation.setEmulatedMedia", media);
        self.ask("Page.navigate", json!({ "url": url }));
    }

    /// What an expression comes to on the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let said = self.ask("Runtime.evaluate", asked);
        assert_eq!(said["exceptionDetails"], Value::Null, "{expression}: {said}");
        said["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.value(expression) != json!(true) {
            let page = |it: &mut Self| it.value("document.body.innerText");
            assert!(Instant::now() < deadline, "never so: {expression}\n{}", page(self));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
