#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| redtail_fuzz::run(redtail::internal::fuzzing::payload, input));
