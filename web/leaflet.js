/** Leaflet, which comes as a classic script, as an import that says so when it is not there. */

if (!globalThis.L) {
  throw new Error("Leaflet is not here. `pip install -e .` puts it in web/vendor/leaflet.");
}

export default globalThis.L;
