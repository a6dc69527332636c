//! See `provider_connection_cache_fuzz::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| provider_connection_cache_fuzz::request(bytes));
