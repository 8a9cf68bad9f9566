//! Links the unwinder into programs that are linked dynamically, so that they need no library beside libc (else libgcc_s.so comes along).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The compiler's own static archive; the linker meets it before libgcc_s, which is then not needed any more. A static program has it
    // in any case (deploy/build).
    println!("cargo::rustc-link-lib=dylib=gcc_eh");
}
