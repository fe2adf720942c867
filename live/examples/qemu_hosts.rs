//! Three hosts and eight guests of QEMU on this machine, to watch godwit move them.
//!
//! ```sh
//! cargo run -p godwit-live --example qemu_hosts -- begin /tmp/hosts    # starts them, writes live.toml
//! cargo run -p godwit-live --example qemu_hosts -- round2 /tmp/hosts   # other limits of memory in live.toml
//! cargo run -p godwit-live --example qemu_hosts -- table /tmp/hosts    # where they are, and whether they go on
//! cargo run -p godwit-live --example qemu_hosts -- end /tmp/hosts      # ends them
//! ```
//!
//! GODWIT_LISTEN is the address of godwit's page. Each host is a folder with a stated limit of
//! memory; each guest has 128 MiB, counts the ticks of its clock and dirties memory at a rate of its
//! own. `table` compares with how they began, and ends with status 1 unless every guest goes on from
//! there, at exactly one place.

// Tests use all of it.
#[allow(dead_code)]
#[path = "../tests/qemu/guests/mod.rs"]
mod guests;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use godwit_live::clusters::qemu::{Guest, Host, Settings};
use guests::boot_sector::Record;
use guests::hosts::{Hosts, qemu_is_there};

/// The hosts' names.
const HOSTS: [&str; 3] = ["left", "middle", "right"];

/// Their memory limits in each round, GiB. Together they hold nearly twice what there is.
const ROUNDS: [[f32; 3]; 5] = [
    [0.75, 0.625, 0.625],
    [1.0, 0.25, 0.25],
    [0.25, 0.75, 0.5],
    [1.0, 0.25, 0.25],
    [0.25, 0.5, 0.75],
];

/// Name, host at the beginning, MiB that are dirtied, and at how many MiB/s.
const GUESTS: [(&str, &str, u32, f32); 8] = [
    ("idle", "left", 24, 0.0),
    ("calm", "left", 24, 0.25),
    ("slow", "left", 32, 0.5),
    ("even", "left", 32, 1.0),
    ("brisk", "left", 40, 1.0),
    ("fast", "left", 40, 2.0),
    ("hot", "middle", 48, 4.0),
    ("wild", "middle", 64, 8.0),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [command, folder] = &arguments[..] else {
        eprintln!("expected: qemu_hosts begin|roundN|table|end FOLDER");
        return ExitCode::from(2);
    };
    if !qemu_is_there() {
        return ExitCode::FAILURE;
    }
    let folder = Path::new(folder);
    let hosts = Hosts::new(folder, &HOSTS);
    match &**command {
        "begin" => begin(&hosts),
        "table" => return table(&hosts),
        "end" => hosts.end(),
        _ => {
            let round = command.strip_prefix("round").and_then(|round| round.parse::<usize>().ok());
            let Some(limits) = round.and_then(|round| ROUNDS.get(round.wrapping_sub(1))) else {
                eprintln!("expected begin, round1 to round5, table or end, got {command:?}");
                return ExitCode::from(2);
            };
            configure(&hosts, limits);
            for (host, limit) in HOSTS.iter().zip(limits) {
                println!("{host:8} {limit:5} GiB");
            }
        }
    }
    ExitCode::SUCCESS
}

fn begin(hosts: &Hosts) {
    let folder = hosts.folder();
    let mut began = String::new();
    for (guest, host, mib, mib_per_s) in GUESTS {
        hosts.write_disk(guest, mib, mib_per_s);
        hosts.begin(guest, host, None);
    }
    for (guest, host, _, _) in GUESTS {
        let Record { boots, nonce, counter, .. } = hosts.record_from(guest, host, 1);
        began += &format!("{guest} {host} {boots} {nonce} {counter}\n");
    }
    fs::write(folder.join("began"), began).expect("the folder can be written");
    configure(hosts, &ROUNDS[0]);
    println!("{} guests run; settings: {}", GUESTS.len(), folder.join("live.toml").display());
}

fn configure(hosts: &Hosts, limits: &[f32; 3]) {
    let written = fs::write(hosts.folder().join("live.toml"), config(hosts, limits));
    written.expect("the folder can be written");
    // A tick of the policy is five minutes, and a round is over sooner.
    let limits = fs::write(hosts.folder().join("limits.toml"), "cooldown_ticks = 0\n");
    limits.expect("the folder can be written");
}

/// What `godwit-live run --config` reads.
fn config(hosts: &Hosts, limits: &[f32; 3]) -> String {
    let guest = |(name, ..): (&str, &str, u32, f32)| Guest {
        name: name.to_owned(),
        port: None,
        cpu_cores: Some(0.05),
        state_gib: None,
        dirty_gib_s: 0.0,
        priority: 1.0,
        hosts: Vec::new(),
        anti_affinity: None,
        disruption_group: None,
    };
    let host = |(name, memory_gib): (&&str, &f32)| Host {
        name: (*name).to_owned(),
        address: "127.0.0.1".to_owned(),
        memory_gib: *memory_gib,
        cpu_cores: 2.0,
        bandwidth_gib_s: 0.03,
        max_guests: None,
        zone: String::new(),
    };
    let qemu = Settings {
        hosts: HOSTS.iter().zip(limits).map(host).collect(),
        guests: GUESTS.map(guest).to_vec(),
        dirty_rate_every_s: 30.0,
        ..hosts.settings()
    };
    let table = toml::to_string(&BTreeMap::from([("qemu", qemu)]));
    format!(
        "mode = \"active\"\n\
         model = \"generalist\"\n\
         limits = \"limits.toml\"\n\
         state = {:?}\n\
         interval_s = 5\n\n\
         [moves]\n\
         in_all = 2\n\
         per_node = 1\n\
         deadline_factor = 4\n\n\
         [web]\n\
         listen = {:?}\n\n\
         {}",
        hosts.folder().join("state"),
        env::var("GODWIT_LISTEN").unwrap_or("127.0.0.1:8981".to_owned()),
        table.expect("settings can be written as TOML"),
    )
}

fn table(hosts: &Hosts) -> ExitCode {
    let began = fs::read_to_string(hosts.folder().join("began"));
    let Ok(began) = began else {
        eprintln!("expected a folder in which `qemu_hosts begin` began guests");
        return ExitCode::from(2);
    };
    let mut all_go_on = true;
    println!(
        "{:8} {:8} {:8} {:>10} {:>10}  goes on",
        "guest", "began on", "is on", "counted", "now"
    );
    for line in began.lines() {
        let [guest, host, boots, nonce, counter] = line.split(' ').collect::<Vec<_>>()[..] else {
            continue;
        };
        let places: Vec<(&str, Record)> = HOSTS
            .iter()
            .filter(|host| hosts.state(guest, host).as_deref() == Some("running"))
            .filter_map(|host| Some((*host, hosts.record(guest, host).ok()?)))
            .collect();
        let now = places.iter().map(|(host, _)| *host).collect::<Vec<_>>().join("+");
        let (count, goes_on) = match &places[..] {
            [(_, record)] => {
                let same = boots == record.boots.to_string() && nonce == record.nonce.to_string();
                let counts = counter.parse().is_ok_and(|counter: u64| record.counter >= counter);
                (record.counter.to_string(), same && counts && record.wrong_pages == 0)
            }
            _ => ("-".to_owned(), false),
        };
        let word = if goes_on { "yes" } else { "NO" };
        println!("{guest:8} {host:8} {now:8} {counter:>10} {count:>10}  {word}");
        all_go_on &= goes_on;
    }
    if all_go_on { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
