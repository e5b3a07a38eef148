//! Sees to it that a change of the built pages rebuilds the binary that embeds them.

fn main() -> std::io::Result<()> {
    // An absent folder would make cargo rebuild every time.
    std::fs::create_dir_all("admin-ui/dist")?;
    println!("cargo:rerun-if-changed=admin-ui/dist");
    Ok(())
}
