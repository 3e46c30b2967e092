#![no_main]
metaopt_fuzz::target!(requests);
