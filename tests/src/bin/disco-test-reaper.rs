//! Ends processes that a test process leaves behind, see `disco_tests::be_reaper`.

fn main() {
    disco_tests::be_reaper();
}
