//! See `provider_connection_cache_fuzz::timestamp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| provider_connection_cache_fuzz::timestamp(bytes));
