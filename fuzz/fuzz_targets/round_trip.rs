//! See `provider_connection_cache_fuzz::round_trip`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| provider_connection_cache_fuzz::round_trip(bytes));
