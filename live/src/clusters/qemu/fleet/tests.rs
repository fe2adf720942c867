use proptest::prelude::*;

use super::super::settings::Settings;
use super::{Fleet, fill};

fn settings() -> Settings {
    toml::from_str(
        "qmp = 'unix:/run/{host}/{guest}.qmp'\n\
         incoming = 'tcp:{address}:0'\n\
         spawn = ['begin', '{guest}', '--on={host}', '{incoming}', '{order}']\n\
         hosts = [\n\
           {name = 'a', address = '10.0.0.1', memory_gib = 4, cpu_cores = 2, bandwidth_gib_s = 1},\n\
           {name = 'b', memory_gib = 4, cpu_cores = 2, bandwidth_gib_s = 1},\n\
         ]\n\
         guests = [{name = 'g', port = 7}, {name = 'h'}]\n",
    )
    .unwrap()
}

fn refusal(change: impl FnOnce(&mut Settings)) -> String {
    let mut settings = settings();
    change(&mut settings);
    Fleet::new(&settings).err().expect("it is refused").to_string()
}

#[test]
fn templates_are_filled_for_each_guest_on_each_host() {
    let fleet = Fleet::new(&settings()).unwrap();
    let [g, a] = [fleet.guest("g").unwrap(), fleet.host("a").unwrap()];
    assert_eq!(fleet.monitor(g, a).to_string(), "unix:/run/a/g.qmp");
    let (g, a) = (&fleet.settings.guests[g], &fleet.settings.hosts[a]);
    let incoming = fleet.incoming(g, a, "d7.0").unwrap();
    assert_eq!(incoming, "tcp:10.0.0.1:0");
    assert_eq!(
        fleet.command(g, a, "d7.0", &incoming).unwrap(),
        ["begin", "g", "--on=a", "tcp:10.0.0.1:0", "d7.0"]
    );
    assert_eq!((fleet.host("g"), fleet.guest("a")), (None, None));
}

#[test]
fn each_setting_that_cannot_be_is_refused_with_its_name() {
    for (told, expected) in [
        (
            refusal(|settings| settings.time_out_s = 0.0),
            "[qemu]: time_out_s: expected 0.01 to 86400 seconds, got 0",
        ),
        (
            refusal(|settings| settings.dirty_rate_every_s = f32::NAN),
            "[qemu]: dirty_rate_every_s: expected 0 to 86400 seconds, got NaN",
        ),
        (
            refusal(|settings| settings.hosts[1].name = "../b".to_owned()),
            "[qemu]: hosts[1].name: expected 1 to 63 letters, digits, -, _ and ., with a letter or \
             digit first, got \"../b\"",
        ),
        (
            refusal(|settings| settings.guests[1].name = "g".to_owned()),
            "[qemu]: guests[1].name: expected a name of its own, got \"g\" again",
        ),
        (
            refusal(|settings| settings.qmp = "unix:/run/{guest}.qmp".to_owned()),
            "[qemu]: qmp: expected an address of its own for each guest on each host, got \
             \"unix:/run/g.qmp\" twice",
        ),
        (
            refusal(|settings| settings.qmp = "/run/{host}/{guest}".to_owned()),
            "[qemu]: qmp: expected unix:/PATH or tcp:HOST:PORT, got \"/run/a/g\"",
        ),
        (
            refusal(|settings| settings.qmp = "tcp:{address}:{port}".to_owned()),
            "[qemu]: qmp: expected only {guest}, {host}, {address} in braces for guest \"h\", got \
             \"tcp:{address}:{port}\"",
        ),
        (
            refusal(|settings| settings.spawn.push("{".to_owned())),
            "[qemu]: spawn[5]: expected only {guest}, {host}, {address}, {port}, {order}, \
             {incoming} in braces for guest \"g\", got \"{\"",
        ),
        (
            refusal(|settings| settings.guests[0].state_gib = Some(-1.0)),
            "[qemu]: guests[0].state_gib: expected a number from 0 to 1e12, got -1",
        ),
        (
            refusal(|settings| settings.guests[0].hosts = vec!["c".to_owned()]),
            "[qemu]: guests[0].hosts: expected names of hosts, got \"c\"",
        ),
        (
            refusal(|settings| settings.downtime_limit_ms = 2_000_001),
            "[qemu]: downtime_limit_ms: expected at most 2000000, got 2000001",
        ),
        (
            refusal(|settings| settings.hosts[0].bandwidth_gib_s = 0.0),
            "[qemu]: as a snapshot: nodes[0].bandwidth_gib_s: expected a finite number above 0, got \
             0",
        ),
        (
            refusal(|settings| settings.hosts.clear()),
            "[qemu]: as a snapshot: nodes: expected 1 to 4000000 nodes, got 0",
        ),
    ] {
        assert_eq!(told, expected);
    }
}

#[test]
fn a_setting_that_there_is_not_is_refused() {
    let told = toml::from_str::<Settings>("qpm = 'x'").unwrap_err().to_string();
    assert!(told.contains("unknown field `qpm`"), "{told}");
}

proptest! {
    #[test]
    fn any_template_is_filled_or_refused(template in ".*|[a{}gh]{0,9}") {
        let fields = [("g", "h}{".to_owned()), ("h", String::new())];
        if let Ok(filled) = fill("qmp", &template, &fields) {
            // Braces come from values only.
            let plain = template.replace("{g}", "").replace("{h}", "");
            prop_assert_eq!(plain.find('{'), None);
            prop_assert_eq!(filled, template.replace("{h}", "").replace("{g}", "h}{"));
        }
    }
}
