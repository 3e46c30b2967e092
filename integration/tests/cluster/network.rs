//! The network of the tests themselves: that its faults are faults, and that nothing of it stays behind.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use metaopt_integration::{
    cluster::{Lan, Place},
    wait,
};

/// Whether one box reaches another: a word there and back.
fn reaches(lan: &Lan, from: usize, address: Ipv4Addr) -> bool {
    lan.place(from).inside(|| {
        let address = SocketAddr::from((address, 9));
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) else { return false };
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut word = [0; 4];
        stream.write_all(b"ping").is_ok() && stream.read_exact(&mut word).is_ok()
    })
}

/// Answers whoever comes, in a box, until the test ends.
fn answer(lan: &Lan, at: usize) {
    let listener = lan.place(at).inside(|| TcpListener::bind("0.0.0.0:9").unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut stream, mut word) = (stream, [0; 4]);
                while stream.read_exact(&mut word).is_ok() && stream.write_all(&word).is_ok() {}
            });
        }
    });
}

#[test]
fn cuts_plugs_and_addresses_of_the_network_do_what_they_say() {
    let Some(mut lan) = Lan::new(3) else { return };
    (0..3).for_each(|at| answer(&lan, at));
    let pair = |lan: &Lan, a: usize, b: usize| (reaches(lan, a, lan.address(b)), reaches(lan, b, lan.address(a)));
    assert_eq!((pair(&lan, 0, 1), pair(&lan, 0, 2), pair(&lan, 1, 2)), ((true, true), (true, true), (true, true)));
    assert_eq!(lan.dropped(), 0);

    lan.cut(&[0, 1], &[2]);
    assert_eq!((pair(&lan, 0, 1), pair(&lan, 0, 2), pair(&lan, 1, 2)), ((true, true), (false, false), (false, false)));
    assert!(lan.heal() > 0, "the fault fired");
    wait("healed", || (pair(&lan, 0, 2) == (true, true)).then_some(()));

    // One way: a word sent over a stream that stood before arrives, and its answer doesn't.
    let mut stream = lan.place(0).inside(|| TcpStream::connect((lan.address(1), 9)).unwrap());
    lan.cut_one_way(&[1], &[0]);
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(b"ping").unwrap();
    let mut word = [0; 4];
    assert!(stream.read_exact(&mut word).is_err());
    assert!(lan.heal() > 0, "the fault fired");
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.read_exact(&mut word).unwrap();

    lan.plug(1, false);
    let carrier = || lan.place(1).ip(&["-o", "link", "show", "dev", "eth0"]).unwrap();
    assert!(carrier().contains("NO-CARRIER") && !reaches(&lan, 0, lan.address(1)), "{}", carrier());
    lan.plug(1, true);
    wait("plugged in", || reaches(&lan, 0, lan.address(1)).then_some(()));

    let sent = lan.sent(0);
    let new = Ipv4Addr::new(10, 77, 0, 200);
    lan.readdress(2, new);
    assert!(!reaches(&lan, 0, lan.address(2)) && reaches(&lan, 0, new));
    assert!(lan.sent(0) > sent);
}

#[test]
fn nothing_of_a_network_stays_behind_even_after_a_panic() {
    let exists = |place: &Place| std::path::Path::new("/run/netns").join(place.name()).exists();
    let mut seen = None;
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let Some(lan) = Lan::new(1) else { return };
        let place = lan.place(0).clone();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 300 & echo"]).stdout(Stdio::null());
        place.inside(|| shell.status().unwrap());
        assert_eq!(place.processes().len(), 1, "what it started lives on");
        seen = Some((place, lan.dir().to_owned()));
        panic!("as a test does that fails");
    }));
    let Some((place, dir)) = seen else { return };
    assert!(panic.is_err());
    let begun = Instant::now();
    while !place.processes().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", place.processes());
    }
    assert!(!exists(&place) && !dir.exists());
}
