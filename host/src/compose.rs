//! Puts the dependencies of a component inside it, as Spin does.

use anyhow::{Context as _, Result, bail, ensure};
use wac_graph::{
    CompositionGraph, NodeId,
    types::{Package, WorldId},
};

use crate::dependency::Dependency;

/// A new component, which exports what `component` does and imports what is left to import. `id`
/// is what the manifest calls it.
///
/// Where a dependency imports what it does not inherit, Spin gives it an adapter that refuses every
/// call. This host has no such adapter and is stricter: it refuses the dependency.
pub(crate) fn compose(
    id: &str,
    component: Vec<u8>,
    dependencies: Vec<(&Dependency, Vec<u8>)>,
) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let component = Part::new(&mut graph, id, component)?;
    for (dependency, bytes) in dependencies {
        plug(&mut graph, id, component, dependency, bytes)?;
    }
    for name in component.exports(&graph) {
        let export = graph.alias_instance_export(component.instance, &name)?;
        graph.export(export, &name)?;
    }
    graph
        .encode(Default::default())
        .context("failed to encode composition graph")
}

/// Satisfies the imports of `component` that `dependency` is for. No other is for them: the names
/// of dependencies do not overlap.
fn plug(
    graph: &mut CompositionGraph,
    id: &str,
    component: Part,
    dependency: &Dependency,
    bytes: Vec<u8>,
) -> Result<()> {
    let name = &dependency.name;
    let part =
        Part::new(graph, name.package(), bytes).with_context(|| format!("dependency '{name}'"))?;
    for import in part.imports(graph) {
        if let Some(set) = dependency.inherited.missing_for(&import) {
            bail!(
                "dependency '{name}' imports '{import}', which it may not use: add {set:?} to its `inherit_configuration`"
            );
        }
    }
    let mut imports = component.imports(graph);
    imports.retain(|import| name.matches(import));
    ensure!(
        !imports.is_empty(),
        "dependency '{name}' doesn't match any imports of component '{id}'"
    );
    for import in imports {
        let export = dependency.export.as_ref().unwrap_or(&import);
        let supplied = graph
            .alias_instance_export(part.instance, export)
            .with_context(|| {
                format!(
                    "dependency '{name}' doesn't export '{export}' to satisfy import '{import}'"
                )
            })?;
        graph
            .set_instantiation_argument(component.instance, &import, supplied)
            .with_context(|| {
                format!("dependency '{name}' exports '{export}' which is not compatible with import '{import}'")
            })?;
    }
    Ok(())
}

/// One component within a composition.
#[derive(Clone, Copy)]
struct Part {
    world: WorldId,
    instance: NodeId,
}

impl Part {
    fn new(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> Result<Self> {
        let package = Package::from_bytes(name, None, bytes, graph.types_mut())?;
        let world = package.ty();
        let package = graph.register_package(package)?;
        Ok(Self {
            world,
            instance: graph.instantiate(package),
        })
    }

    fn imports(self, graph: &CompositionGraph) -> Vec<String> {
        graph.types()[self.world].imports.keys().cloned().collect()
    }

    fn exports(self, graph: &CompositionGraph) -> Vec<String> {
        graph.types()[self.world].exports.keys().cloned().collect()
    }
}
