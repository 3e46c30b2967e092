//! Sees to it that the folder of the dashboard's built page is there, and that a page built anew is taken in.

fn main() {
    let page = "../web/dist";
    // Empty until the page is built. Where it can't be made rust-embed does without, and cargo looks again at each build.
    let _ = std::fs::create_dir_all(page);
    println!("cargo::rerun-if-changed={page}");
}
