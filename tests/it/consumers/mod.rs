//! The examples that import the cache, each with the cache inside, as their manifests say.

mod python;
