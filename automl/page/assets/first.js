(() => { // before anything is painted
  let choice = "auto";
  try { choice = localStorage.getItem("automl-theme") || "auto"; } catch { /* no memory here */ }
  document.documentElement.dataset.theme = choice !== "auto" ? choice : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
})();
