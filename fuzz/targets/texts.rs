#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| allmende_decoders::check("texts", bytes));
