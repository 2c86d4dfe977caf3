//! Two links against the one thing that is promised: what comes out is what went in.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::{Bounds, Link, Malformed, Refused};

const BOUNDS: Bounds = Bounds { message: 2_000, fragment: 100, waiting: 3_000 };

/// Two ends, and what is under way between them.
struct World {
    ends: [Link; 2],
    /// Towards the end with this index.
    under_way: [Vec<Bytes>; 2],
    taken: [Vec<(u64, Bytes)>; 2],
    went_in: [Vec<(u64, Bytes)>; 2],
    came_out: [Vec<Bytes>; 2],
    now: Duration,
    count: u8,
}

#[derive(Debug, Clone)]
enum Step {
    Send(usize, usize),
    Carry(usize, usize),
    Repeat(usize, usize),
    Lose(usize, usize),
    Cut,
    Process(usize, usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let end = 0..2_usize;
    prop_oneof![
        4 => (end.clone(), 0..600_usize).prop_map(|(end, length)| Step::Send(end, length)),
        8 => (end.clone(), 0..4_usize).prop_map(|(end, index)| Step::Carry(end, index)),
        2 => (end.clone(), 0..8_usize).prop_map(|(end, index)| Step::Repeat(end, index)),
        2 => (end.clone(), 0..8_usize).prop_map(|(end, index)| Step::Lose(end, index)),
        1 => Just(Step::Cut),
        4 => (end, 0..3_usize).prop_map(|(end, index)| Step::Process(end, index)),
        3 => (1..400_u64).prop_map(Step::Wait),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            ends: [Link::new(BOUNDS), Link::new(BOUNDS)],
            under_way: Default::default(),
            taken: Default::default(),
            went_in: Default::default(),
            came_out: Default::default(),
            now: Duration::ZERO,
            count: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send(end, length) => self.send(end, length),
            Step::Carry(end, index) if index < self.under_way[end].len() => {
                let datagram = self.under_way[end].remove(index);
                self.arrives(end, datagram);
            }
            Step::Repeat(end, index) if index < self.under_way[end].len() => {
                let datagram = self.under_way[end][index].clone();
                self.arrives(end, datagram);
            }
            Step::Lose(end, index) if index < self.under_way[end].len() => {
                self.under_way[end].remove(index);
            }
            Step::Cut => self.under_way = Default::default(),
            Step::Process(end, index) if index < self.taken[end].len() => {
                let (number, message) = self.taken[end].remove(index);
                self.ends[end].done(number);
                drop(message);
            }
            Step::Wait(millis) => {
                self.now += Duration::from_millis(millis);
                for end in &mut self.ends {
                    end.tick(self.now);
                }
            }
            Step::Carry(..) | Step::Repeat(..) | Step::Lose(..) | Step::Process(..) => {}
        }
        self.depart();
        self.keeps_its_bounds();
    }

    fn send(&mut self, end: usize, length: usize) {
        self.count = self.count.wrapping_add(1);
        let message = Bytes::from(vec![self.count; length]);
        match self.ends[end].send(message.clone()) {
            Ok(number) => self.went_in[end].push((number, message)),
            Err(refused) => assert_eq!(refused, Refused::Full),
        }
    }

    fn arrives(&mut self, end: usize, datagram: Bytes) {
        self.ends[end].arrived(self.now, datagram).unwrap();
        while let Some((number, message)) = self.ends[end].take() {
            self.came_out[end].push(message.clone());
            self.taken[end].push((number, message));
        }
    }

    fn depart(&mut self) {
        for end in 0..2 {
            while let Some(datagram) = self.ends[end].departs(self.now) {
                self.under_way[1 - end].push(datagram);
            }
        }
    }

    /// At every moment: a beginning of what went in has come out, what counts as processed was, and memory is bounded.
    fn keeps_its_bounds(&self) {
        for end in 0..2 {
            let went_in = &self.went_in[end];
            let came_out = &self.came_out[1 - end];
            assert!(went_in.len() >= came_out.len());
            assert!(went_in.iter().zip(came_out).all(|((_, sent), came)| sent == came));
            if let Some((number, _)) = self.taken[1 - end].first() {
                assert!(self.ends[end].processed() < *number);
            }
            let (waits, held) = self.ends[end].bytes();
            assert!(waits <= BOUNDS.held() && held <= BOUNDS.held());
        }
    }

    /// The network has become a good one, and everybody processes what they get.
    fn settle(&mut self) {
        for _ in 0..2_000 {
            let calm = self.ends.iter().all(|end| end.due().is_none());
            if calm && self.under_way.iter().all(Vec::is_empty) && self.taken.iter().all(Vec::is_empty) {
                return;
            }
            for end in 0..2 {
                for datagram in std::mem::take(&mut self.under_way[end]) {
                    self.arrives(end, datagram);
                }
                for (number, _) in std::mem::take(&mut self.taken[end]) {
                    self.ends[end].done(number);
                }
            }
            self.step(&Step::Wait(50));
        }
        panic!("the links do not come to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_comes_out_is_what_went_in_whatever_the_network_does(steps in prop::collection::vec(step(), 1..300)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        for end in 0..2 {
            let sent: Vec<&Bytes> = world.went_in[end].iter().map(|(_, message)| message).collect();
            let came: Vec<&Bytes> = world.came_out[1 - end].iter().collect();
            prop_assert_eq!(sent, came);
            let last = world.went_in[end].last().map_or(0, |(number, _)| *number);
            prop_assert_eq!(world.ends[end].processed(), last);
            prop_assert_eq!(world.ends[end].bytes(), (0, 0));
        }
    }

    #[test]
    fn no_bytes_disturb_a_link_beyond_its_bounds(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..50),
    ) {
        let mut link = Link::new(BOUNDS);
        for datagram in datagrams {
            let _refused = link.arrived(Duration::ZERO, Bytes::from(datagram));
            prop_assert!(link.bytes().1 <= BOUNDS.held());
        }
    }
}

#[test]
fn a_message_that_is_too_long_is_refused_and_one_of_the_most_bytes_arrives() {
    let mut world = World::new();
    let too_long = Bytes::from(vec![0; BOUNDS.message + 1]);
    assert_eq!(world.ends[0].send(too_long), Err(Refused::TooLong));
    world.step(&Step::Send(0, BOUNDS.message));
    world.settle();
    assert_eq!(world.came_out[1].len(), 1);
    assert_eq!(world.came_out[1][0].len(), BOUNDS.message);
}

#[test]
fn a_link_has_no_room_until_the_other_side_has_processed_something() {
    let mut world = World::new();
    while world.ends[0].has_room() {
        world.send(0, 500);
    }
    assert_eq!(world.ends[0].send(Bytes::new()), Err(Refused::Full));
    for _ in 0..50 {
        world.step(&Step::Carry(1, 0));
        world.step(&Step::Carry(0, 0));
    }
    assert!(!world.ends[0].has_room(), "what was received is not processed");
    world.settle();
    assert!(world.ends[0].has_room());
}

#[test]
fn who_claims_what_was_never_sent_is_not_believed() {
    let mut liar = Link::new(BOUNDS);
    let mut other = Link::new(BOUNDS);
    other.send(Bytes::from_static(b"one")).unwrap();
    let datagram = other.departs(Duration::ZERO).unwrap();
    liar.arrived(Duration::ZERO, datagram).unwrap();
    let claim = liar.departs(Duration::ZERO).unwrap();
    // A link that has sent nothing hears that one fragment was received.
    assert_eq!(Link::new(BOUNDS).arrived(Duration::ZERO, claim), Err(Malformed));
}
