// Sets the chosen colours before the first paint, so that nothing flashes. Loaded without defer on purpose.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
