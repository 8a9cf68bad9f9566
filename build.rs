//! Links the unwinder into the program, so that it needs no library beside libc (else libgcc_s.so comes along).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The compiler's own static archive; the linker meets it before libgcc_s, which is then not needed any more.
    println!("cargo::rustc-link-lib=dylib=gcc_eh");
}
