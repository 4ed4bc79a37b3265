"use strict";
// Draws each figure when it comes near the window, so that a page with many figures opens at once.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { displayModeBar: false, responsive: true };
  const draw = (place) => {
    const figure = figures[Number(place.dataset.figure)];
    place.removeAttribute("role");
    Plotly.newPlot(place, figure.data, figure.layout, config);
  };
  const places = document.querySelectorAll("[data-figure]");
  if (!("IntersectionObserver" in window)) {
    places.forEach(draw);
    return;
  }
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        seen.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "600px" });
  places.forEach((place) => seen.observe(place));
  window.addEventListener("beforeprint", () => places.forEach((place) => {
    if (!place.classList.contains("js-plotly-plot")) draw(place);
  }));
})();
