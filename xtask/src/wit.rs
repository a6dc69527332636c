//! Whether a file is the WIT package of this repository.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::{PackageId, Resolve};

/// Ends well if this file is the package of `wit/`, documentation included, and has in it all
/// that the package uses.
pub fn check(root: &Path, file: &Path) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let DecodedWasm::WitPackage(resolve, package) = wit_component::decode(&bytes)? else {
        bail!("{} is a component, not a WIT package", file.display());
    };
    let mut source = Resolve::default();
    let (wanted, _) = source.push_path(root.join("wit"))?;
    ensure!(
        print(&resolve, package)? == print(&source, wanted)?,
        "{} is not what wit/ says: make it anew, with make package",
        file.display()
    );
    Ok(())
}

fn print(resolve: &Resolve, package: PackageId) -> Result<String> {
    let mut printer = WitPrinter::default();
    printer.print(resolve, package, &[])?;
    Ok(printer.output.to_string())
}
