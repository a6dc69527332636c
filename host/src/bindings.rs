//! What `wit/` says, in Rust.

wasmtime::component::bindgen!({
    path: "wit",
    world: "imports",
    with: {
        "spin:key-value/key-value.store": crate::sqlite::Store,
        "spin:redis/redis.connection": crate::redis::Connection,
    },
    // It has no error to say that there is no stream.
    imports: { "spin:key-value/key-value.[method]store.get-keys": trappable },
});
