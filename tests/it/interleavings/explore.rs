//! All schedules of a scenario: depth first, each from an empty Redis. Of schedules that differ only in
//! the order of events which have nothing to do with each other, one is enough (sleep sets, Godefroid
//! 1996). Beyond a bound, a random sample follows.

use std::fmt;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::scenario::Scenario;
use super::stillness::Stillness;
use super::world::{Event, Footprint, Site, World};

/// How many schedules of a scenario are tried.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// One after the other.
    pub schedules: usize,
    /// Drawn after those, if they are not all.
    pub sample: usize,
    pub seed: u64,
}

/// What the schedules of a scenario led to.
#[derive(Debug, Default)]
pub struct Report {
    pub name: &'static str,
    pub schedules: usize,
    /// How many of these were drawn, and with which seed. None if these are all that there are.
    pub sample: Option<(usize, u64)>,
    pub violations: usize,
    pub longest: usize,
    pub time: Duration,
    /// The shortest schedule with a violation, and the violation.
    pub shortest: Option<(Vec<Event>, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sample = self.sample.map_or(String::new(), |(drawn, seed)| {
            format!("{drawn} drawn, seed {seed}")
        });
        write!(
            f,
            "{:<34} {:>9} {:>10} {:>8} {:>8.1}  {sample}",
            self.name,
            self.schedules,
            self.violations,
            self.longest,
            self.time.as_secs_f64()
        )
    }
}

/// A place where the schedule could go on in more than one way.
struct Fork {
    /// What need not be taken here, because a schedule that took it was tried.
    asleep: Vec<(Event, Footprint)>,
    events: Vec<Event>,
    taken: Event,
}

impl Fork {
    fn next(&self) -> Option<Event> {
        let is_awake = |event: &&Event| !self.asleep.iter().any(|(asleep, _)| asleep == *event);
        self.events.iter().find(is_awake).copied()
    }
}

/// Tries the schedules of a scenario.
pub fn explore(scenario: &Scenario, bound: Bound) -> Report {
    Stillness::run(async |stillness| {
        let site = Site::of(scenario).await;
        let began = Instant::now();
        let mut report = Report {
            name: scenario.name,
            ..Report::default()
        };
        if !all(scenario, &site, &stillness, bound, &mut report).await {
            report.sample = Some((bound.sample, bound.seed));
            sample(scenario, &site, &stillness, bound, &mut report).await;
        }
        report.time = began.elapsed();
        report
    })
}

impl Report {
    /// Notes a schedule. Returns false if the machine was too slow to say anything of it.
    async fn note(&mut self, world: World<'_>, schedule: &[Event]) -> bool {
        let Some(wrong) = world.end().await else {
            return false;
        };
        self.schedules += 1;
        self.longest = self.longest.max(schedule.len());
        if let Some(first) = wrong.into_iter().next() {
            self.violations += 1;
            let is_shorter = |(other, _): &(Vec<Event>, String)| schedule.len() < other.len();
            if self.shortest.as_ref().is_none_or(is_shorter) {
                self.shortest = Some((schedule.to_vec(), first));
            }
        }
        true
    }
}

/// Returns false if there are more than the bound allows.
async fn all(
    scenario: &Scenario,
    site: &Site,
    stillness: &Stillness,
    bound: Bound,
    report: &mut Report,
) -> bool {
    let mut forks: Vec<Fork> = Vec::new();
    let mut slow = 0;
    loop {
        let mut world = World::begin(scenario, site, stillness).await;
        let mut schedule = Vec::new();
        let mut asleep = Vec::new();
        let complete = loop {
            let depth = schedule.len();
            let events = world.events();
            if depth == forks.len() {
                if events.is_empty() {
                    break true;
                }
                let mut fork = Fork {
                    asleep,
                    taken: events[0],
                    events,
                };
                match fork.next() {
                    Some(event) => fork.taken = event,
                    None => break false,
                }
                forks.push(fork);
            }
            let fork = &forks[depth];
            let event = fork.taken;
            assert!(
                world.events().contains(&event),
                "{world:?} went on in another way: {event:?} is not among {:?}",
                world.events()
            );
            let footprint = world.take(event).await;
            schedule.push(event);
            asleep = fork.asleep.clone();
            asleep.retain(|(_, other)| other.is_independent_of(&footprint));
            if depth + 1 == forks.len() {
                // In its brothers it need not be taken first any more.
                forks[depth].asleep.push((event, footprint));
            }
        };
        if complete && !report.note(world, &schedule).await {
            slow += 1;
            assert!(slow < 1_000, "this machine is too slow");
            forks.last_mut().map(|fork| fork.asleep.pop());
            continue;
        }
        while let Some(fork) = forks.last_mut() {
            if let Some(event) = fork.next() {
                fork.taken = event;
                break;
            }
            forks.pop();
            // What was taken to get there is done, too.
        }
        if forks.is_empty() {
            return true;
        }
        if report.schedules == bound.schedules {
            return false;
        }
    }
}

async fn sample(
    scenario: &Scenario,
    site: &Site,
    stillness: &Stillness,
    bound: Bound,
    report: &mut Report,
) {
    let mut rng = Rng::with_seed(bound.seed);
    while report.schedules < bound.schedules + bound.sample {
        let mut world = World::begin(scenario, site, stillness).await;
        let mut schedule = Vec::new();
        while let Some(event) = rng.choice(world.events()) {
            world.take(event).await;
            schedule.push(event);
        }
        report.note(world, &schedule).await;
    }
}

/// Runs one schedule by the names of its events, and what is left to do after them in any order. Tells
/// what happens, and returns what is wrong with it.
pub fn replay(scenario: &Scenario, script: &[&str]) -> (String, Vec<String>) {
    Stillness::run(async |stillness| {
        let site = Site::of(scenario).await;
        for _ in 0..100 {
            let mut world = World::begin(scenario, &site, &stillness).await;
            let mut told = String::new();
            let mut script = script.iter();
            loop {
                let mut events = world.events().into_iter();
                let event = match script.next() {
                    None => events.next(),
                    Some(name) => {
                        let named = events.find(|it| World::name(scenario, *it) == *name);
                        let Some(event) = named else {
                            let events = world.events().into_iter();
                            let names: Vec<_> =
                                events.map(|it| World::name(scenario, it)).collect();
                            let wrong = format!("{name} cannot come next, but {names:?}");
                            return (told, vec![wrong]);
                        };
                        Some(event)
                    }
                };
                let Some(event) = event else { break };
                let name = World::name(scenario, event);
                told += &format!("{name:<18} {}\n", world.describe(event));
                world.take(event).await;
            }
            if let Some(wrong) = world.end().await {
                return (told, wrong);
            }
        }
        panic!("this machine is too slow");
    })
}

/// A schedule as text that [`replay`] takes.
pub fn script(scenario: &Scenario, schedule: &[Event]) -> String {
    let names: Vec<_> = schedule
        .iter()
        .map(|it| World::name(scenario, *it))
        .collect();
    format!("{}: {}", scenario.name, names.join(" "))
}
