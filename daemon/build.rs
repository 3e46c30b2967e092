//! Sees to it that the folder of the dashboard's built page is there, and that a page built anew is taken in.

fn main() {
    let page = "../web/dist";
    // Without it the daemon serves a page that says how to build it. What can't be made is missed by rust-embed no more.
    let _ = std::fs::create_dir_all(page);
    println!("cargo::rerun-if-changed={page}");
}
