//! Puts the dependencies of a component inside it, and middleware before it, as Spin does.

use anyhow::{Context as _, Result, bail, ensure};
use wac_graph::{
    CompositionGraph, NodeId,
    types::{Package, WorldId},
};

use crate::{
    capabilities::Inherited,
    dependency::{Dependency, Middleware},
};

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

/// What is asked of each middleware, and what it asks of what stands behind it.
const HANDLER: &str = "wasi:http/handler@0.3.0";

/// A new component: the first middleware asks the second, and so on, and the last `component`. It
/// exports nothing but the handler of the first.
pub(crate) fn chain(
    component: Vec<u8>,
    middleware: Vec<(&Middleware, Vec<u8>)>,
) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let behind = Part::new(&mut graph, "primary", component)?;
    let mut handler = graph.alias_instance_export(behind.instance, HANDLER)?;
    for (index, (middleware, bytes)) in middleware.into_iter().enumerate().rev() {
        let name = format!("middleware{index}");
        let asked = |part: Part, graph: &mut CompositionGraph| {
            part.check_inherited(graph, &middleware.inherited)?;
            graph.set_instantiation_argument(part.instance, HANDLER, handler)?;
            Ok(graph.alias_instance_export(part.instance, HANDLER)?)
        };
        handler = Part::new(&mut graph, &name, bytes)
            .and_then(|part| asked(part, &mut graph))
            .with_context(|| format!("middleware {}", middleware.path.display()))?;
    }
    graph.export(handler, HANDLER)?;
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
    part.check_inherited(graph, &dependency.inherited)
        .with_context(|| format!("dependency '{name}'"))?;
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

    /// Fails if it imports what it does not inherit.
    fn check_inherited(self, graph: &CompositionGraph, inherited: &Inherited) -> Result<()> {
        for import in self.imports(graph) {
            if let Some(set) = inherited.missing_for(&import) {
                bail!(
                    "it imports '{import}', which it may not use: add {set:?} to its `inherit_configuration`"
                );
            }
        }
        Ok(())
    }

    fn imports(self, graph: &CompositionGraph) -> Vec<String> {
        graph.types()[self.world].imports.keys().cloned().collect()
    }

    fn exports(self, graph: &CompositionGraph) -> Vec<String> {
        graph.types()[self.world].exports.keys().cloned().collect()
    }
}
