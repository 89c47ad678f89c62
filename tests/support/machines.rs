//! A network of machines: Linux network namespaces on a bridge, whose links can be cut and lose packets, and which can lose their
//! power. Nothing of this machine's own network is touched, and all of it goes when it is dropped, or at the next start where a test
//! was killed.
//!
//! Where the kernel does not let us make namespaces, a test on it does not run, and says so.

use super::installed;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What names of namespaces begin with; the process's id and a number follow.
const PREFIX: &str = "torso-test";

/// A bridge, in a namespace of its own, and the machines on it.
pub struct MachineNetwork {
    name: String,
    machines: u8,
}

/// A machine on the network.
pub struct Machine {
    network: String,
    number: u8,
    namespace: String,
}

/// Makes a network; none where the kernel forbids it, which is reported and counted.
pub fn machine_network(test: &str) -> Option<MachineNetwork> {
    static NETWORKS: AtomicU32 = AtomicU32::new(0);
    static NOT_RUN: AtomicU32 = AtomicU32::new(0);
    remove_leftovers();
    let number = NETWORKS.fetch_add(1, Ordering::SeqCst);
    let name = format!("{PREFIX}-{}-{number}", std::process::id());
    let switch = Command::new("ip")
        .args(["netns", "add", &name])
        .output()
        .unwrap_or_else(|error| panic!("cannot run ip ({error}): install iproute2"));
    if !switch.status.success() {
        let reason = String::from_utf8_lossy(&switch.stderr).trim().to_owned();
        let is_forbidden = reason.contains("Operation not permitted") || reason.contains("Permission denied");
        assert!(is_forbidden, "cannot make a network namespace: {reason}");
        let count = NOT_RUN.fetch_add(1, Ordering::SeqCst) + 1;
        // Past what the test program captures: whoever reads its output has to see it.
        let _ = writeln!(
            std::io::stderr(),
            "NOT RUN ({count}): {test}: no network namespaces here: {reason}"
        );
        return None;
    }
    let network = MachineNetwork { name, machines: 0 };
    ip(&["-n", &network.name, "link", "add", "bridge", "type", "bridge"]);
    ip(&["-n", &network.name, "link", "set", "bridge", "up"]);
    Some(network)
}

impl MachineNetwork {
    /// Adds a machine, which is up and reaches all others.
    pub fn add_machine(&mut self) -> Machine {
        self.machines += 1;
        let machine = Machine {
            network: self.name.clone(),
            number: self.machines,
            namespace: format!("{}-m{}", self.name, self.machines),
        };
        machine.power_on();
        machine
    }

    /// Has so many of a hundred packets between machines lost, from now on.
    pub fn lose_packets(&self, percent: u8) {
        let rules = format!(
            "table bridge wire {{}}\ndelete table bridge wire\ntable bridge wire {{\nchain forward {{\n\
             type filter hook forward priority 0\nether type ip numgen random mod 100 < {percent} drop\n}}\n}}\n"
        );
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &self.name, "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft (install nftables) refused {rules}");
    }
}

impl Drop for MachineNetwork {
    fn drop(&mut self) {
        remove_namespaces(&self.name);
    }
}

impl Machine {
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.number)
    }

    /// Runs something here, on a thread of its own. Threads and programs that it starts are here, too, and
    /// so are its sockets.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let here = scope.spawn(|| {
                let namespace = File::open(format!("/run/netns/{}", self.namespace)).unwrap();
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            here.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Pulls the machine's network cable: what is sent is lost, and nobody is told.
    pub fn cut_link(&self) {
        ip(&["-n", &self.network, "link", "set", &self.port(), "down"]);
    }

    /// Puts the cable back.
    pub fn restore_link(&self) {
        ip(&["-n", &self.network, "link", "set", &self.port(), "up"]);
    }

    /// The second half of a power loss: the machine is gone with all its connections. Before it come the cut of its link, so that no
    /// other machine hears of anything, and the death of its processes.
    pub fn remove(&self) {
        ip(&["-n", &self.network, "link", "delete", &self.port()]);
        ip(&["netns", "delete", &self.namespace]);
    }

    /// Makes the machine, with the address and the hardware address that it has always had.
    pub fn power_on(&self) {
        let (namespace, port) = (self.namespace.as_str(), self.port());
        let hardware = format!("02:00:00:77:00:{:02x}", self.number);
        let address = format!("{}/24", self.address());
        ip(&["netns", "add", namespace]);
        ip(&[
            "link",
            "add",
            "eth0",
            "netns",
            namespace,
            "address",
            &hardware,
            "type",
            "veth",
            "peer",
            "name",
            &port,
            "netns",
            &self.network,
        ]);
        ip(&["-n", &self.network, "link", "set", &port, "master", "bridge", "up"]);
        ip(&["-n", namespace, "link", "set", "lo", "up"]);
        ip(&["-n", namespace, "address", "add", &address, "dev", "eth0"]);
        ip(&["-n", namespace, "link", "set", "eth0", "up"]);
    }

    /// The bridge's port with its cable.
    fn port(&self) -> String {
        format!("port{}", self.number)
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let run = Command::new("ip").args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "ip {}: {error}", arguments.join(" "));
}

/// Removes a network's namespaces.
fn remove_namespaces(network: &str) {
    for namespace in namespaces() {
        if namespace == network || namespace.starts_with(&format!("{network}-")) {
            let _ = Command::new("ip").args(["netns", "delete", &namespace]).output();
        }
    }
}

/// Removes what test programs have left that were killed.
fn remove_leftovers() {
    // Another test program may be making its own.
    let lock = File::create(installed::folder("machines").join("lock")).unwrap();
    lock.lock().unwrap();
    for namespace in namespaces() {
        let process = namespace.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        if let Some(process) = process
            && !Path::new("/proc").join(process).exists()
        {
            let _ = Command::new("ip").args(["netns", "delete", &namespace]).output();
        }
    }
}

/// The names of all namespaces.
fn namespaces() -> Vec<String> {
    let Ok(names) = std::fs::read_dir("/run/netns") else {
        return Vec::new();
    };
    names
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
