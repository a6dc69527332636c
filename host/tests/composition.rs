//! Applications whose components have dependencies, written as text.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use anyhow::{Context as _, Result};
use provider_connection_cache_host::{App, AppOptions, wasmtime::component::TypedFunc};

/// Imports a number, and exports it plus one.
const ADDER: &str = r#"
    (component
        (import "test:numbers/source@0.1.0" (instance $source
            (export "number" (func (result u32)))))
        (core func $number (canon lower (func $source "number")))
        (core module $adder
            (import "source" "number" (func $number (result i32)))
            (func (export "run") (result i32) (i32.add (call $number) (i32.const 1))))
        (core instance $adder (instantiate $adder
            (with "source" (instance (export "number" (func $number))))))
        (func (export "run") (result u32) (canon lift (core func $adder "run"))))
"#;

/// Exports an interface of that name with one number.
fn source(interface: &str, imports: &str, number: u32) -> String {
    format!(
        r#"
        (component
            {imports}
            (core module $numbers
                (func (export "number") (result i32) (i32.const {number})))
            (core instance $numbers (instantiate $numbers))
            (func $number (result u32) (canon lift (core func $numbers "number")))
            (instance $source (export "number" (func $number)))
            (export "{interface}" (instance $source)))
        "#
    )
}

const SOURCE: &str = "test:numbers/source@0.1.0";

const IMPORTS_REDIS: &str = r#"
    (import "spin:redis/redis@3.0.0" (instance))
    (import "spin:key-value/key-value@3.0.0" (instance))
    (import "spin:variables/variables@3.0.0" (instance))
    (import "wasi:cli/environment@0.2.6" (instance))
"#;

/// An application in a directory of its own, which is removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("host-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let directory = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::create_dir_all(&directory.0)?;
        directory.write("main", ADDER)?;
        directory.write("source", &source(SOURCE, "", 41))?;
        Ok(directory)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.0.join(name).with_extension("wasm");
        Ok(fs::write(path, wat::parse_str(text)?)?)
    }

    fn load(&self, dependencies: &str) -> Result<App> {
        self.load_behind("", dependencies)
    }

    /// The application whose trigger has `middleware` too.
    fn load_behind(&self, middleware: &str, dependencies: &str) -> Result<App> {
        let manifest = self.0.join("spin.toml");
        let text = format!(
            r#"
            spin_manifest_version = 2
            application = {{ name = "composed" }}
            [[trigger.http]]
            route = "/..."
            component = "main"
            {middleware}
            [component.main]
            source = "main.wasm"
            [component.source]
            source = "source.wasm"
            [component.main.dependencies]
            {dependencies}
            "#
        );
        fs::write(&manifest, text)?;
        App::load(&manifest, AppOptions::default())
    }

    /// What is wrong with these dependencies.
    fn error(&self, dependencies: &str) -> Result<String> {
        let error = self.load(dependencies).err();
        Ok(format!("{:#}", error.context("it loads")?))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left behind is below the target directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the component of `app` exports as `run`.
async fn run(app: &App) -> Result<u32> {
    let mut store = app.new_store();
    let instance = app.linker().instantiate_async(&mut store, app.component());
    let instance = instance.await?;
    let run: TypedFunc<(), (u32,)> = instance.get_typed_func(&mut store, "run")?;
    Ok(run.call_async(&mut store, ()).await?.0)
}

#[tokio::test]
async fn a_dependency_satisfies_the_import_it_names() -> Result<()> {
    let directory = Directory::new()?;
    for dependency in [
        r#""test:numbers/source@0.1.0" = { path = "source.wasm" }"#,
        r#""test:numbers/source" = { component = "source" }"#,
        r#""test:numbers" = { path = "source.wasm", inherit_configuration = [] }"#,
    ] {
        let app = directory.load(dependency);
        let app = app.with_context(|| dependency.to_owned())?;
        assert_eq!(run(&app).await?, 42, "{dependency}");
    }
    Ok(())
}

#[tokio::test]
async fn an_export_of_another_name_can_be_chosen() -> Result<()> {
    let directory = Directory::new()?;
    directory.write("other", &source("test:other/numbers", "", 1))?;
    let dependency =
        r#""test:numbers/source" = { path = "other.wasm", export = "test:other/numbers" }"#;
    assert_eq!(run(&directory.load(dependency)?).await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_change_of_either_file_is_seen() -> Result<()> {
    let directory = Directory::new()?;
    let dependency = r#""test:numbers" = { path = "source.wasm" }"#;
    assert_eq!(run(&directory.load(dependency)?).await?, 42);
    directory.write("source", &source(SOURCE, "", 10_000))?;
    assert_eq!(run(&directory.load(dependency)?).await?, 10_001);
    directory.write("main", &ADDER.replace("i32.const 1", "i32.const 10000"))?;
    assert_eq!(run(&directory.load(dependency)?).await?, 20_000);
    Ok(())
}

#[test]
fn what_is_not_inherited_is_named() -> Result<()> {
    let directory = Directory::new()?;
    directory.write("source", &source(SOURCE, IMPORTS_REDIS, 1))?;
    for (inherited, expected) in [
        (
            "",
            "imports 'spin:redis/redis@3.0.0', which it may not use: add \"allowed_outbound_hosts\"",
        ),
        (
            ", inherit_configuration = false",
            "\"allowed_outbound_hosts\"",
        ),
        (
            ", inherit_configuration = [\"allowed_outbound_hosts\"]",
            "imports 'spin:key-value/key-value@3.0.0', which it may not use: add \"key_value_stores\"",
        ),
        (
            ", inherit_configuration = [\"allowed_outbound_hosts\", \"key_value_stores\"]",
            "imports 'spin:variables/variables@3.0.0', which it may not use: add \"variables\"",
        ),
    ] {
        let error = directory.error(&format!(
            "\"test:numbers\" = {{ path = \"source.wasm\"{inherited} }}"
        ))?;
        assert!(error.contains("dependency 'test:numbers'"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    for inherited in [
        "true",
        r#"["allowed_outbound_hosts", "key_value_stores", "variables"]"#,
    ] {
        directory.load(&format!(
            "\"test:numbers\" = {{ path = \"source.wasm\", inherit_configuration = {inherited} }}"
        ))?;
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused_in_spins_words() -> Result<()> {
    let directory = Directory::new()?;
    directory.write("other", &source("test:other/numbers", "", 1))?;
    let no_number =
        r#"(component (instance $i) (export "test:numbers/source@0.1.0" (instance $i)))"#;
    directory.write("empty", no_number)?;
    for (dependencies, expected) in [
        (
            r#""test:other/numbers" = { path = "other.wasm" }"#,
            "dependency 'test:other/numbers' doesn't match any imports of component 'main'",
        ),
        (
            r#""test:numbers/source" = { path = "other.wasm" }"#,
            "dependency 'test:numbers/source' doesn't export 'test:numbers/source@0.1.0' to satisfy import 'test:numbers/source@0.1.0'",
        ),
        (
            r#""test:numbers/source" = { path = "empty.wasm" }"#,
            "dependency 'test:numbers/source' exports 'test:numbers/source@0.1.0' which is not compatible with import 'test:numbers/source@0.1.0'",
        ),
        (
            r#""test:numbers" = { path = "absent.wasm" }"#,
            "absent.wasm",
        ),
        (
            r#""test:numbers" = { path = "spin.toml" }"#,
            "dependency 'test:numbers'",
        ),
    ] {
        let error = directory.error(dependencies)?;
        assert!(error.contains(expected), "{error}");
    }
    Ok(())
}

/// What middleware does that fits is tested with the cache: tests/it/middleware.rs.
#[test]
fn middleware_that_does_not_fit_is_refused() -> Result<()> {
    let directory = Directory::new()?;
    let handler = "wasi:http/handler@0.3.0";
    directory.write("main", &source(handler, "", 1))?;
    directory.write("redis", &source(handler, IMPORTS_REDIS, 1))?;
    directory.write("last", &source(handler, "", 1))?;
    for (middleware, expected) in [
        (
            r#"[{ path = "redis.wasm" }]"#,
            "imports 'spin:redis/redis@3.0.0', which it may not use: add \"allowed_outbound_hosts\"",
        ),
        (r#"[{ path = "last.wasm" }]"#, "last.wasm: "),
        (
            r#"[{ component = "source", export = "x" }]"#,
            "a middleware has no `export`",
        ),
        (
            r#"[{ component = "none" }]"#,
            "dependency ID none does not exist",
        ),
        (
            r#"[{ url = "https://x.test/m.wasm", digest = "sha256:0" }]"#,
            "comes from a registry or a URL",
        ),
        (
            "[{ path = \"last.wasm\" }]\n[[trigger.http]]\nroute = \"/x\"\ncomponent = \"main\"",
            "component \"main\" has several triggers, of which one has middleware",
        ),
    ] {
        let text = format!("dependencies.middleware = {middleware}");
        let error = directory.load_behind(&text, "").err();
        let error = format!(
            "{:#}",
            error.with_context(|| format!("{middleware} loads"))?
        );
        assert!(error.contains(expected), "{error}");
    }
    directory.load_behind("dependencies.middleware = []", "")?;
    Ok(())
}
