//! Every order in which Redis and the origin can carry out what the built components ask of them.
//!
//! [`scenario`] says who does what at the same time, [`world`] runs it under a schedule, [`explore`]
//! tries all of them, and [`crate::model`] judges each. docs/correctness.md says what this shows.

mod explore;
mod gate;
mod instance;
mod middleware;
mod origin;
mod replica;
mod scenario;
mod stillness;
mod wire;
mod world;

use std::env;
use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use self::explore::{Bound, Report, explore, replay, script};
use self::scenario::Scenario;
use crate::support::in_repository;

const BOUND: Bound = Bound {
    schedules: 4_000,
    sample: 1_000,
    seed: 1,
};

/// Runs the scenarios, two at a time, and prints what each came to.
fn run(scenarios: &[Scenario]) -> Vec<Report> {
    println!(
        "{:<34} {:>9} {:>10} {:>8} {:>8}",
        "scenario", "schedules", "violations", "longest", "seconds"
    );
    let began = Instant::now();
    let next = Mutex::new(scenarios.iter());
    let reports = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(scenario) = next.lock().unwrap().next() else {
                        return;
                    };
                    let report = explore(scenario, BOUND);
                    println!("{report}");
                    if let Some((schedule, violation)) = &report.shortest {
                        println!("REPLAY='{}'\n{violation}", script(scenario, schedule));
                    }
                    reports.lock().unwrap().push(report);
                }
            });
        }
    });
    let reports = reports.into_inner().unwrap();
    let total = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    println!(
        "{:<34} {:>9} {:>10} {:>8} {:>8.1}",
        format!("all {}", reports.len()),
        total(|it| it.schedules),
        total(|it| it.violations),
        "",
        began.elapsed().as_secs_f64()
    );
    reports
}

/// Every schedule keeps every promise, and some schedule shows what is not promised.
fn assert_promises_kept(scenarios: &[Scenario]) {
    let reports = run(scenarios);
    let is_wrong = |report: &&Report| {
        let mut all = scenarios.iter();
        let scenario = all.find(|it| it.name == report.name).unwrap();
        scenario.not_promised.is_some() != (report.violations > 0)
    };
    let wrong: Vec<_> = reports.iter().filter(is_wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_schedule_of_a_small_scenario_breaks_a_promise() {
    let small = |scenario: &Scenario| scenario.small;
    let scenarios: Vec<_> = scenario::all().into_iter().filter(small).collect();
    assert_promises_kept(&scenarios);
}

/// Schedules that broke a promise once.
const MENDED: [&str; 1] = [
    // An answer that is not stored was shared with a lookup that began after a write.
    "no-store-join-application-delete: other B1 B1 B1 reader A1 B.origin-reads B.origin-answers \
     B1 A1 A1 A1 A1 A.origin-reads writer writer writer A.origin-answers",
];

#[test]
fn what_was_mended_stays_mended() {
    for script in MENDED {
        replay_script(script);
    }
}

fn replay_script(text: &str) {
    let (told, wrong) = replay_text(text);
    println!("{told}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn replay_text(text: &str) -> (String, Vec<String>) {
    let (name, schedule) = text.split_once(": ").expect("SCENARIO: EVENT…");
    let all = scenario::all();
    let scenario = all.iter().find(|it| it.name == name).expect("a scenario");
    let schedule: Vec<_> = schedule.split_whitespace().collect();
    replay(scenario, &schedule)
}

/// What docs/correctness.md has in backquotes in the second column of its tables.
fn documented() -> Vec<String> {
    let text = fs::read_to_string(in_repository("docs/correctness.md")).unwrap();
    let cells = text.lines().filter_map(|line| line.split('|').nth(2));
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

/// Whether the document means this scenario: … stands for whatever there is.
fn means(text: &str, name: &str) -> bool {
    let part = text.trim_matches('…');
    match (text.starts_with('…'), text.ends_with('…')) {
        (false, false) => name == part,
        (false, true) => name.starts_with(part),
        (true, _) => name.contains(part),
    }
}

#[test]
fn the_document_names_every_scenario_and_no_other() {
    let quoted = documented();
    let named = quoted.iter().map(|text| text.split(": ").next().unwrap());
    let is_name = |it: &&str| {
        it.chars()
            .all(|it| it.is_ascii_lowercase() || "-…".contains(it))
    };
    let named: Vec<_> = named.filter(is_name).collect();
    assert!(named.len() > 50, "{named:?}");
    let all: Vec<_> = scenario::all().iter().map(|it| it.name).collect();
    for text in &named {
        assert!(all.iter().any(|name| means(text, name)), "{text}");
    }
    for name in all {
        assert!(named.iter().any(|text| means(text, name)), "{name}");
    }
}

/// Each schedule of the document shows what is not promised.
#[test]
fn the_schedules_of_the_document_break_what_is_not_promised() {
    let quoted = documented();
    let schedules: Vec<_> = quoted.iter().filter(|text| text.contains(": ")).collect();
    assert!(schedules.len() > 5, "{schedules:?}");
    for text in schedules {
        let (told, wrong) = replay_text(text);
        assert!(!wrong.is_empty(), "{text}\n{told}");
        let possible = wrong.iter().all(|it| !it.contains("cannot come next"));
        assert!(possible, "{wrong:?}");
    }
}

/// `make interleavings`: all scenarios, or one schedule of one of them.
#[test]
#[ignore = "takes minutes: `make interleavings`"]
fn no_schedule_breaks_a_promise() {
    let text = env::var("REPLAY").unwrap_or_default();
    if !text.is_empty() {
        return replay_script(&text);
    }
    let only = env::var("SCENARIO").unwrap_or_default();
    let mut scenarios = scenario::all();
    let is_asked_for = |it: &Scenario| only.split_whitespace().any(|part| it.name.contains(part));
    scenarios.retain(|it| only.is_empty() || is_asked_for(it));
    assert_promises_kept(&scenarios);
}
