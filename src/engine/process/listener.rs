//! Which process listens on a port of 127.0.0.1.
//!
//! A port belongs to whoever binds it: when a process ends, any program on the machine may take its place and would be
//! sent what was meant for the process. So the socket that a process listens with is identified once, by the files that
//! the process has open, and compared after each new connection and before anything is sent on it. A socket that listens
//! keeps others from listening on its port; so if it listens before and after a connection is made, the connection leads
//! to it.
//!
//! On Linux the kernel is asked by `sock_diag(7)`, about 25 µs, and where that is not to be had, `/proc/net/tcp` is read.
//! Elsewhere every listener counts as the right one.

use std::net::{Ipv4Addr, SocketAddr};

/// A socket that a process listens with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Listener {
    port: u16,
    socket: Socket,
}

impl Listener {
    /// Returns the socket that listens on a port of 127.0.0.1, if the process has it.
    #[must_use]
    pub fn of_process(pid: u32, port: u16) -> Option<Self> {
        let socket = Socket::find(port)?;
        socket.is_open_in(pid).then_some(Self { port, socket })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Whether this very socket still listens. To be called after a connection was made, before anything is sent.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.socket.listens_on(self.port)
    }
}

#[cfg(not(target_os = "linux"))]
use elsewhere::Socket;
#[cfg(target_os = "linux")]
use linux::Socket;

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    /// Any socket.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(super) struct Socket;

    impl Socket {
        #[allow(clippy::unnecessary_wraps, reason = "the same signature on every system")]
        pub fn find(_port: u16) -> Option<Self> {
            Some(Self)
        }

        #[allow(clippy::unused_self, reason = "the same signature on every system")]
        pub fn is_open_in(self, _pid: u32) -> bool {
            true
        }

        #[allow(clippy::unused_self, reason = "the same signature on every system")]
        pub fn listens_on(self, _port: u16) -> bool {
            true
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};
    use std::net::Ipv4Addr;

    /// Fields of the kernel's messages (`linux/netlink.h`, `linux/sock_diag.h`, `linux/inet_diag.h`).
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const AF_INET: u8 = 2;
    const IPPROTO_TCP: u8 = 6;
    const TCP_LISTEN: u8 = 10;
    /// Bytes of a message's header, of a request, and of an answer.
    const HEADER: usize = 16;
    const REQUEST: usize = 56;
    const ANSWER: usize = 72;
    /// Where an answer has the socket's state, cookie and inode.
    const STATE: usize = HEADER + 1;
    const COOKIE: usize = HEADER + 44;
    const INODE: usize = HEADER + 68;

    /// A listening socket, as the kernel names it. Numbers of inodes may come again after 2³² sockets, cookies never.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(super) struct Socket {
        inode: u32,
        /// None if it was found in `/proc/net/tcp`.
        cookie: Option<[u8; 8]>,
    }

    impl Socket {
        /// The socket that listens on a port of 127.0.0.1.
        pub fn find(port: u16) -> Option<Self> {
            ask_kernel(port).or_else(|| read_table(port))
        }

        /// Whether it is among the open files of a process.
        pub fn is_open_in(self, pid: u32) -> bool {
            let name = format!("socket:[{}]", self.inode);
            std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|files| {
                files
                    .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
                    .any(|target| target.as_os_str() == name.as_str())
            })
        }

        pub fn listens_on(self, port: u16) -> bool {
            let now = match self.cookie {
                Some(_) => ask_kernel(port),
                None => read_table(port),
            };
            now == Some(self)
        }
    }

    fn ask_kernel(port: u16) -> Option<Socket> {
        let mut request = Vec::with_capacity(HEADER + REQUEST);
        request.extend(u32::try_from(HEADER + REQUEST).ok()?.to_ne_bytes());
        request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        request.extend(NLM_F_REQUEST.to_ne_bytes());
        // Sequence number and port id.
        request.extend([0; 8]);
        request.extend([AF_INET, IPPROTO_TCP, 0, 0]);
        request.extend((1_u32 << TCP_LISTEN).to_ne_bytes());
        request.extend(port.to_be_bytes());
        // The other end's port: none, since it listens.
        request.extend([0; 2]);
        request.extend(Ipv4Addr::LOCALHOST.octets());
        request.extend([0; 12 + 16 + 4]);
        // Whatever its cookie.
        request.extend([0xff; 8]);
        let kernel = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )
        .ok()?;
        send(&kernel, &request, SendFlags::empty()).ok()?;
        let mut answer = [0; 512];
        // The kernel has answered when `send` returns.
        let (_, length) = recv(&kernel, &mut answer, RecvFlags::DONTWAIT).ok()?;
        let is_socket = length >= HEADER + ANSWER && answer[4..6] == SOCK_DIAG_BY_FAMILY.to_ne_bytes();
        (is_socket && answer[STATE] == TCP_LISTEN).then_some(())?;
        Some(Socket {
            inode: u32::from_ne_bytes(answer[INODE..INODE + 4].try_into().ok()?),
            cookie: Some(answer[COOKIE..COOKIE + 8].try_into().ok()?),
        })
    }

    /// Looks for the socket in the kernel's table of connections.
    fn read_table(port: u16) -> Option<Socket> {
        let table = std::fs::read_to_string("/proc/self/net/tcp").ok()?;
        let address = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
        let local = format!("{address:08X}:{port:04X}");
        let state = format!("{TCP_LISTEN:02X}");
        table.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            (fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&state.as_str())).then_some(())?;
            Some(Socket {
                inode: fields.get(9)?.parse().ok()?,
                cookie: None,
            })
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::net::TcpListener;

        #[test]
        fn listener_found_both_ways_is_the_same_socket() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let (by_kernel, read) = (ask_kernel(port).unwrap(), read_table(port).unwrap());
            assert_eq!(by_kernel.inode, read.inode);
            assert!(by_kernel.cookie.is_some() && by_kernel.cookie != Some([0xff; 8]));
            assert!(by_kernel.is_open_in(std::process::id()));
            assert!(by_kernel.listens_on(port) && read.listens_on(port));
            // Another socket at the same port is another one, and a connection is no listener.
            drop(listener);
            assert!(!by_kernel.listens_on(port) && !read.listens_on(port));
            let other = TcpListener::bind(("127.0.0.1", port)).unwrap();
            assert!(!by_kernel.listens_on(port) && !read.listens_on(port));
            let connection = std::net::TcpStream::connect(other.local_addr().unwrap()).unwrap();
            assert_eq!(Socket::find(connection.local_addr().unwrap().port()), None);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn listener_of_another_process_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = Listener::of_process(std::process::id(), port).unwrap();
        assert!(own.is_listening());
        assert_eq!(own.address(), listener.local_addr().unwrap());
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(Listener::of_process(other.id(), port), None);
        other.kill().unwrap();
        other.wait().unwrap();
        drop(listener);
        assert!(!own.is_listening());
    }
}
