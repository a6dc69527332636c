//! `examples/python-consumer`: a component in Python.

use super::tests_of_the_consumer;
use crate::support::{in_repository, python_consumer};

tests_of_the_consumer!({
    let _there = python_consumer();
    in_repository("examples/python-consumer/spin.toml")
});
