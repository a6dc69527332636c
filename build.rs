//! Takes the spaces out of `openapi.json`, which is kept readable: in the component each
//! of its bytes is loaded on a cold start.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let source = "src/http/openapi.json";
    println!("cargo::rerun-if-changed={source}");
    let openapi: serde_json::Value = serde_json::from_str(&fs::read_to_string(source)?)?;
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("openapi.json"), openapi.to_string())?;
    Ok(())
}
