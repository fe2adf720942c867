//! The page in a real browser: it shows what happens, fits a phone, can be read by day and by night,
//! loads nothing from elsewhere, and its buttons work.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod browser;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use browser::Browser;
use serde_json::Value;

/// A program that plays a scenario, and its page; ended with it.
struct Live {
    process: Child,
    url: String,
}

impl Live {
    fn start(folder: &Path) -> Self {
        let text = "mode = \"active\"\nmodel = \"diurnal\"\nstate = \"state\"\ninterval_s = 300\n\
                    poll_s = 60\n[web]\nlisten = \"127.0.0.1:0\"\n\
                    [simulated]\nscenario = \"diurnal\"\nspeed = 600\n";
        std::fs::write(folder.join("live.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_godwit-live"));
        command.args(["run", "--config"]).arg(folder.join("live.toml"));
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("it says where its page is").unwrap();
            if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                break url.to_owned();
            }
        };
        // It is not held up by a pipe that nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The least contrast of any text with what is behind it (WCAG 2, from 1 to 21), and that text.
const CONTRAST: &str = "(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * x + .7152 * y + .0722 * z;
  };
  const behind = of => {
    for (; of; of = of.parentElement) {
      const colour = rgb(getComputedStyle(of).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
  };
  let least = [21, ''];
  for (const of of document.querySelectorAll('body *')) {
    const text = [...of.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join('').trim();
    if (!text || !of.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(of).color)), light(behind(of))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < least[0]) least = [contrast, text];
  }
  return least;
})()";

#[test]
fn the_page_shows_what_happens_on_every_screen_and_its_buttons_work() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let live = Live::start(folder.path());
    let mut grounds = Vec::new();
    for (screen, dark) in
        [([1280, 800], false), ([1280, 800], true), ([390, 844], false), ([390, 844], true)]
    {
        browser.open(&live.url, screen, dark);
        browser.wait("document.getElementById('state')?.textContent === 'active'");
        browser.wait("document.querySelectorAll('.node').length === 12");
        browser.wait("document.querySelectorAll('#history tr').length > 3");
        browser.wait("document.querySelectorAll('#assessed tr').length > 1");
        // What does not fit scrolls by itself, not the page.
        let width = browser.value("document.documentElement.scrollWidth");
        assert!(width.as_u64().unwrap() <= u64::from(screen[0]), "{screen:?}: {width} wide");
        let least = browser.value(CONTRAST);
        assert!(least[0].as_f64().unwrap() >= 4.5, "{screen:?}, dark {dark}: {least}");
        grounds.push(browser.value("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1]);
    assert_eq!((&grounds[0], &grounds[1]), (&grounds[2], &grounds[3]));

    browser.value("document.getElementById('halt').click()");
    browser.wait("document.getElementById('state').textContent.startsWith('halted')");
    browser.value("document.getElementById('resume').click()");
    browser.wait("document.getElementById('state').textContent === 'active'");

    for event in &browser.events {
        let method = event["method"].as_str().unwrap_or_default();
        let complains = event["params"]["entry"]["level"].as_str().unwrap_or_default();
        assert!(method != "Runtime.exceptionThrown" && complains != "error", "{event}");
        if method == "Network.requestWillBeSent" {
            let url = &event["params"]["request"]["url"];
            let is_own = |url: &Value| url.as_str().unwrap().starts_with(&live.url);
            assert!(is_own(url) || url == "about:blank", "{url}");
        }
    }
}
