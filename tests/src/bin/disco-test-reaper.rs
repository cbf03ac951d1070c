//! Ends what a process of tests leaves behind, see `disco_tests::be_reaper`.

fn main() {
    disco_tests::be_reaper();
}
