// Runs before the first paint, so that a page kept dark does not flash light.
"use strict";
try {
  const kept = localStorage.getItem("redtail-theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
} catch {
  // Storage may be forbidden. The system's choice holds then.
}
