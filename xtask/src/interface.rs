//! `docs/interface.md`: what `wit/` says, as a page to read.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use wit_component::{Output, OutputToString, TypeKind, WitPrinter};
use wit_parser::{
    Docs, Function, Interface, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, WorldId,
};

/// Begins the paragraph of a function's comment that the table of functions shows.
const WITHOUT_REDIS: &str = "When Redis cannot answer: ";

/// The page on the package in this directory.
///
/// # Errors
///
/// When that is no package, or one with something that the page has no form for yet.
pub fn page(wit: &Path) -> Result<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let package = &resolve.packages[package];
    let mut page = format!(
        "# Interface\n\nThe reference for `package {}`. `make interface` generates this page from the \
         comments in [wit/](../wit).\n\n{}\n",
        package.name,
        text(&package.docs)
    );
    let mut interfaces: Vec<_> = package.interfaces.iter().collect();
    interfaces.sort_by_key(|(_, id)| resolve.interfaces[**id].functions.is_empty());
    for (name, id) in interfaces {
        page += &interface(&resolve, name, *id)?;
    }
    page += "\n## Worlds\n";
    for id in package.worlds.values() {
        page += &world(&resolve, *id);
    }
    Ok(page)
}

fn interface(resolve: &Resolve, name: &str, id: InterfaceId) -> Result<String> {
    let interface = &resolve.interfaces[id];
    let mut section = format!("\n## Interface `{name}`\n\n{}\n", text(&interface.docs));
    section += &functions(resolve, interface)?;
    let signatures = signatures(resolve, id)?;
    for (function, signature) in interface.functions.values().zip(signatures) {
        let (name, text) = (&function.name, text(&function.docs));
        write!(
            section,
            "\n### `{name}`\n\n<pre>\n{signature}\n</pre>\n\n{text}\n"
        )?;
    }
    for (name, id) in &interface.types {
        let kind = &resolve.types[*id];
        if !is_used(resolve, kind) {
            section += &type_(resolve, name, kind)?;
        }
    }
    Ok(section)
}

/// The table of functions, for a reader in a hurry.
fn functions(resolve: &Resolve, interface: &Interface) -> Result<String> {
    if interface.functions.is_empty() {
        return Ok(String::new());
    }
    let mut table =
        "\n| function | returns | when Redis cannot answer |\n|---|---|---|\n".to_owned();
    for Function {
        name, result, docs, ..
    } in interface.functions.values()
    {
        let mut paragraphs = text(docs).split("\n\n");
        let without_redis = paragraphs
            .find_map(|paragraph| paragraph.strip_prefix(WITHOUT_REDIS))
            .with_context(|| {
                format!("the comment of `{name}` has no paragraph {WITHOUT_REDIS:?}")
            })?;
        let answer = match result.and_then(|result| answer(resolve, result)) {
            Some(answer) => type_name(resolve, &answer)?,
            None => String::new(),
        };
        writeln!(
            table,
            "| [`{name}`](#{name}) | {answer} | {} |",
            cell(without_redis.trim_end_matches('.'))
        )?;
    }
    Ok(table)
}

/// What a function answers when it answers no error.
fn answer(resolve: &Resolve, result: Type) -> Option<Type> {
    match result {
        Type::Id(id) => match &resolve.types[id].kind {
            TypeDefKind::Result(result) => result.ok,
            _ => Some(result),
        },
        _ => Some(result),
    }
}

fn type_(resolve: &Resolve, name: &str, kind: &TypeDef) -> Result<String> {
    let mut section = format!("\n### `{name}`\n\n{}\n\n", text(&kind.docs));
    match &kind.kind {
        TypeDefKind::Record(record) => {
            section += "| field | type | meaning |\n|---|---|---|\n";
            for field in &record.fields {
                let (name, ty) = (&field.name, type_name(resolve, &field.ty)?);
                writeln!(section, "| `{name}` | {ty} | {} |", cell(text(&field.docs)))?;
            }
        }
        TypeDefKind::Variant(variant) => {
            section += "| case | payload | meaning |\n|---|---|---|\n";
            for case in &variant.cases {
                let ty = case.ty.map(|ty| type_name(resolve, &ty));
                let (name, ty) = (&case.name, ty.transpose()?.unwrap_or_default());
                writeln!(section, "| `{name}` | {ty} | {} |", cell(text(&case.docs)))?;
            }
        }
        TypeDefKind::Enum(cases) => {
            section += "| case | meaning |\n|---|---|\n";
            for case in &cases.cases {
                writeln!(section, "| `{}` | {} |", case.name, cell(text(&case.docs)))?;
            }
        }
        TypeDefKind::Type(ty) => writeln!(section, "An alias for {}.", type_name(resolve, ty)?)?,
        kind => bail!(
            "`{name}`: xtask/src/interface.rs cannot render a {}",
            kind.as_str()
        ),
    }
    Ok(section)
}

fn world(resolve: &Resolve, id: WorldId) -> String {
    let world = &resolve.worlds[id];
    let exports: Vec<_> = world
        .exports
        .keys()
        .map(|key| format!("`{}`", resolve.name_world_key(key)))
        .collect();
    let (name, text) = (&world.name, text(&world.docs));
    format!(
        "\n### `{name}`\n\n{text}\n\nExports: {}.\n",
        exports.join(", ")
    )
}

/// Whether a type is another interface's, brought in by `use`.
fn is_used(resolve: &Resolve, kind: &TypeDef) -> bool {
    matches!(kind.kind, TypeDefKind::Type(Type::Id(of)) if resolve.types[of].owner != kind.owner)
}

fn text(docs: &Docs) -> &str {
    docs.contents.as_deref().unwrap_or_default().trim()
}

/// Text for a cell of a table, which is one line.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// The functions of an interface as WIT, in their order.
fn signatures(resolve: &Resolve, id: InterfaceId) -> Result<Vec<String>> {
    let mut functions_alone = resolve.clone();
    functions_alone.interfaces[id].types.clear();
    let mut printer = WitPrinter::new(Linked::default());
    printer
        .emit_docs(false)
        .print_interface(&functions_alone, id)?;
    let printed = String::from(printer.output.0);
    Ok(printed
        .trim_end()
        .split("\n\n")
        .map(str::to_owned)
        .collect())
}

/// The name of a type as WIT, for a line of text.
fn type_name(resolve: &Resolve, ty: &Type) -> Result<String> {
    let mut printer = WitPrinter::new(Linked::default());
    printer.print_type_name(resolve, ty)?;
    Ok(format!("<code>{}</code>", printer.output.0))
}

/// WIT as HTML, in which each type of the package leads to its section: Markdown has no links
/// in code.
#[derive(Default)]
struct Linked(OutputToString);

impl Output for Linked {
    fn push_str(&mut self, wit: &str) {
        self.0
            .push_str(&wit.replace('<', "&lt;").replace('>', "&gt;"));
    }

    fn ty(&mut self, name: &str, kind: TypeKind) {
        match kind {
            TypeKind::Other => self.0.push_str(&format!("<a href=\"#{name}\">{name}</a>")),
            _ => self.indent_and_print(name),
        }
    }

    fn indent_if_needed(&mut self) -> bool {
        self.0.indent_if_needed()
    }

    fn indent_start(&mut self) {
        self.0.indent_start();
    }

    fn indent_end(&mut self) {
        self.0.indent_end();
    }

    fn newline(&mut self) {
        self.0.newline();
    }
}
