//! Embeds the templates of `mortise plugin new`: each folder of `templates/` is one, each file in it a file of the
//! project. They stand in the program's read-only data, so that a gateway that makes no plugin never loads them.

use std::{
    env,
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("templates");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut code = String::from("&[\n");
    for template in sorted(&root)? {
        let mut files = Vec::new();
        collect(&template, &mut files)?;
        writeln!(code, "    ({:?}, &[", name(&template))?;
        for file in files {
            let path = file.strip_prefix(&template)?.to_string_lossy().into_owned();
            writeln!(code, "        ({path:?}, include_str!({:?})),", file.to_string_lossy())?;
        }
        code.push_str("    ]),\n");
    }
    code.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("templates.rs"), code)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for path in sorted(folder)? {
        if !path.is_dir() {
            files.push(path);
        } else if !matches!(&*name(&path), "node_modules" | "target" | "dist" | "__pycache__" | ".venv") {
            // Those are what a template that was tried in its place has left there.
            collect(&path, files)?;
        }
    }
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
