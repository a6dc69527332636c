//! What `wit/` says, in Rust.

wasmtime::component::bindgen!({
    path: "wit",
    world: "imports",
    with: { "spin:redis/redis.connection": crate::redis::Connection },
});
